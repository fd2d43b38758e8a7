"""docs/layers.svg shows the packages and modules in the order that import-linter checks."""

from pathlib import Path

import pytest

from hack.docs.layers import DRAWING, ROOT, read_stacks, render_layers


def test_the_drawing_is_as_make_docs_writes_it() -> None:
    assert DRAWING.read_text() == render_layers(read_stacks())


@pytest.mark.parametrize("package", sorted(read_stacks()))
def test_every_box_of_the_drawing_is_a_package_or_a_module(package: str) -> None:
    (folder,) = ROOT.glob(f"*/{package.replace('.', '/')}")
    boxes = {name for layer in read_stacks()[package] for name in layer}
    assert boxes == {name for path in folder.iterdir() if (name := _importable(path)) not in ("", "__init__")}


def _importable(path: Path) -> str:
    """Return the name under which Python imports this file or folder, or an empty text."""
    if path.suffix == ".py":
        return path.stem
    return path.name if (path / "__init__.py").exists() else ""
