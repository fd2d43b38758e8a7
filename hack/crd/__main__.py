"""Write crds/."""

from hack.crd.definition import CRD, render_crd

if __name__ == "__main__":
    CRD.write_text(render_crd())
    print(f"wrote {CRD}")
