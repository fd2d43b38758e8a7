"""Generates the CustomResourceDefinition from the dataclasses of the spec and from the files written by hand beside this one."""
