"""Writes docs/reference.md."""

from hack.crd.resource import read_crd
from hack.docs.reference import REFERENCE, render_reference

if __name__ == "__main__":
    REFERENCE.write_text(render_reference(read_crd()))
    print(f"wrote {REFERENCE}")
