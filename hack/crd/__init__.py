"""Generate the CustomResourceDefinition from the dataclasses of the spec and from the handwritten files in this folder."""
