"""Writes docs/reference.md."""

from hack.docs.reference import REFERENCE, read_crd, render_reference

if __name__ == "__main__":
    REFERENCE.write_text(render_reference(read_crd()))
    print(f"wrote {REFERENCE}")
