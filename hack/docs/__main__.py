"""Writes docs/reference.md, and the tables of options in docs/local.md."""

from hack.crd.definition import read_crd
from hack.docs.local import LOCAL, render_local
from hack.docs.reference import REFERENCE, render_reference

if __name__ == "__main__":
    REFERENCE.write_text(render_reference(read_crd()))
    LOCAL.write_text(render_local(LOCAL.read_text()))
    print(f"wrote {REFERENCE} and the tables of {LOCAL}")
