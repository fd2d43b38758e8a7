"""What was measured: a line of JSON for each figure, written as soon as it is known, and the table of all of them.

It needs nothing but Python, since it also serves the command that starts the parts.
"""

import json
from collections.abc import Iterable
from dataclasses import asdict, dataclass
from pathlib import Path


@dataclass(frozen=True)
class Figure:
    """One number with its unit. `goal` is the least that is wanted, None where nothing is promised."""

    part: str
    name: str
    value: float
    unit: str
    goal: float | None = None

    def line(self) -> str:
        """Return it as it is printed while the check runs."""
        wanted = "" if self.goal is None else f" (goal {self.goal:g})"
        return f"{self.part}: {self.name}: {shown(self.value)} {self.unit}{wanted}"


class Figures:
    """Appends the figures of one part to a file. A part that is killed has left those that it had."""

    def __init__(self, path: Path, part: str) -> None:
        self._path, self._part = path, part

    def add(self, name: str, value: float, unit: str, goal: float | None = None) -> None:
        """Write and print a figure."""
        figure = Figure(self._part, name, float(value), unit, goal)
        with self._path.open("a") as file:
            file.write(json.dumps(asdict(figure), allow_nan=False) + "\n")
        print(figure.line(), flush=True)


def read_figures(path: Path) -> list[Figure]:
    """Return all figures of a file; a line that was cut off, as a killed program leaves one, is passed over."""
    return [figure for line in path.read_text().splitlines() if (figure := _parsed(line)) is not None]


def _parsed(line: str) -> Figure | None:
    try:
        return Figure(**json.loads(line))
    except (ValueError, TypeError):
        return None


def shown(value: float) -> str:
    """Return a number with three digits that count, and a large one whole."""
    return f"{value:,.0f}" if abs(value) >= 1000 else f"{value:.3g}"


def table(figures: Iterable[Figure]) -> str:
    """Return the figures as a table in Markdown."""
    rows = ["| part | figure | measured | unit | goal |", "|---|---|---|---|---|"]
    for one in figures:
        goal = "" if one.goal is None else f"{one.goal:g}{'' if one.value >= one.goal else ': MISSED'}"
        rows.append(f"| {one.part} | {one.name} | {shown(one.value)} | {one.unit} | {goal} |")
    return "\n".join(rows)
