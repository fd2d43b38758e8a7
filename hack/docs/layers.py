"""Draw docs/layers.svg: the packages of operator, worker and engines in the order of import-linter's contracts."""

import tomllib
from collections.abc import Iterator, Mapping
from pathlib import Path
from xml.sax.saxutils import escape

ROOT = Path(__file__).parents[2]
DRAWING = ROOT / "docs/layers.svg"

# In pixels. A stack is one contract, and a row is one of its layers.
WIDTH, MARGIN, GAP = 1040, 20, 8
TITLE_HEIGHT, ROW_HEIGHT = 34, 34
PER_ROW = 3  # boxes side by side; a layer of more goes on in the next row

BOX = '<rect x="{x:g}" y="{y:g}" width="{width:g}" height="{height:g}" rx="6"/>'
TEXT = '<text x="{x:g}" y="{y:g}"{weight}>{words}</text>'


def read_stacks() -> dict[str, list[list[str]]]:
    """Read the contracts of layers: each package with its layers from the top down."""
    contracts = tomllib.loads((ROOT / "pyproject.toml").read_text())["tool"]["importlinter"]["contracts"]
    return {
        contract["containers"][0]: [_modules(layer) for layer in contract["layers"]]
        for contract in contracts
        if contract["type"] == "layers"
    }


def _modules(layer: str) -> list[str]:
    return [name.strip(" ()") for name in layer.replace(":", "|").split("|")]


def render_layers(stacks: Mapping[str, list[list[str]]]) -> str:
    """Render the drawing as SVG: two columns of stacks, with an arrow down beside each stack."""
    column = (WIDTH - 3 * MARGIN) / 2
    heights = [MARGIN, MARGIN]
    parts: list[str] = []
    for title, layers in stacks.items():
        side = heights.index(min(heights))
        rows = [row for layer in layers for row in _rows(layer)]
        height = TITLE_HEIGHT + len(rows) * (ROW_HEIGHT + GAP) + GAP
        parts += _stack(title, rows, MARGIN + side * (column + MARGIN), heights[side], column, height)
        heights[side] += height + MARGIN
    return "\n".join([_head(max(heights)), *parts, "</svg>\n"])


def _rows(layer: list[str]) -> Iterator[list[str]]:
    for start in range(0, len(layer), PER_ROW):
        yield layer[start : start + PER_ROW]


def _head(height: float) -> str:
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {height:g}" '
        'font-family="Helvetica, Arial, sans-serif" font-size="13">\n'
        f'<rect width="{WIDTH}" height="{height:g}" fill="#ffffff"/>\n'
        '<defs><marker id="tip" viewBox="0 0 10 10" refX="9" refY="5" markerWidth="8" markerHeight="8" orient="auto">'
        '<path d="M0 0 L10 5 L0 10 z" fill="#3a4a5a"/></marker></defs>'
    )


def _stack(title: str, rows: list[list[str]], x: float, y: float, width: float, height: float) -> Iterator[str]:
    yield f'<g fill="#f4f7fa" stroke="#3a4a5a">{BOX.format(x=x, y=y, width=width, height=height)}</g>'
    yield '<g fill="#1b2733" text-anchor="middle">'
    yield TEXT.format(x=x + width / 2, y=y + 22, weight=' font-weight="bold"', words=escape(title))
    yield "</g>"
    for number, row in enumerate(rows):
        yield from _row(row, x + 28, y + TITLE_HEIGHT + number * (ROW_HEIGHT + GAP), width - 28 - GAP)
    bottom = y + height - GAP
    yield f'<path d="M{x + 14:g} {y + TITLE_HEIGHT:g} L{x + 14:g} {bottom:g}" stroke="#3a4a5a" marker-end="url(#tip)"/>'


def _row(names: list[str], x: float, y: float, width: float) -> Iterator[str]:
    share = (width - GAP * (len(names) - 1)) / len(names)
    for number, name in enumerate(names):
        left = x + number * (share + GAP)
        yield f'<g fill="#dfeaf5" stroke="#3a4a5a">{BOX.format(x=left, y=y, width=share, height=ROW_HEIGHT)}</g>'
        words = TEXT.format(x=left + share / 2, y=y + 22, weight="", words=escape(name))
        yield f'<g fill="#1b2733" text-anchor="middle">{words}</g>'
