"""Write docs/reference.md, the tables of options in docs/local.md, and docs/layers.svg."""

from hack.crd.definition import read_crd
from hack.docs.layers import DRAWING, read_stacks, render_layers
from hack.docs.local import LOCAL, render_local
from hack.docs.reference import REFERENCE, render_reference

if __name__ == "__main__":
    REFERENCE.write_text(render_reference(read_crd()))
    LOCAL.write_text(render_local(LOCAL.read_text()))
    DRAWING.write_text(render_layers(read_stacks()))
    print(f"wrote {REFERENCE}, the tables of {LOCAL} and {DRAWING}")
