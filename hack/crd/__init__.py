"""The CustomResourceDefinition, generated from the dataclasses of the spec and the files written by hand beside this one."""
