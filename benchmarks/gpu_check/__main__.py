"""Prove and measure the batched engine on a GPU that is there for minutes, in whatever Python the machine has.

Needs Python 3.11 or newer with torch and, for a GPU, Triton. What else is missing comes from a bundle, a folder that
`make gpu-check-bundle` writes where there is a registry. Each part is a process of its own under a limit of its own, and its
result is printed and written as soon as it is there. All of it is in the output folder: report.md, figures.jsonl and log.txt.
"""

import argparse
import os
import platform
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path
from typing import IO

from benchmarks.gpu_check.bundle import FOLDER, ROOT, Unpacked, unpack
from benchmarks.gpu_check.child import Ended, run_child
from benchmarks.gpu_check.figures import read_figures, table
from benchmarks.gpu_check.plan import Part, choose, make_plan, output_folder

OLDEST_PYTHON = (3, 11)
MINUTES = 9.0
# A part that has less time left than this is not started.
LEAST_SECONDS = 5.0


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the parts; return 0 if each of them came to its end. Goals that are missed are printed and fail nothing."""
    chosen = make_parser().parse_args(arguments)
    if sys.version_info < OLDEST_PYTHON:
        raise SystemExit(f"Python: got {platform.python_version()}, expected 3.11 or newer")
    out = chosen.out.resolve()
    out.mkdir(parents=True, exist_ok=True)
    figures = out / "figures.jsonl"
    figures.write_text("")
    try:
        parts = choose(make_plan(chosen, figures), chosen.parts)
    except ValueError as error:
        raise SystemExit(str(error)) from None
    os.chdir(ROOT)
    with tempfile.TemporaryDirectory() as folder, (out / "log.txt").open("w") as log:
        check = Check(out, log, unpack(chosen.bundle.resolve(), Path(folder)), chosen.minutes * 60)
        return check.run(parts)


def make_parser() -> argparse.ArgumentParser:
    """Return the parser of the command's options."""
    parser = argparse.ArgumentParser(
        "gpu-check", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--device", choices=("cuda", "cpu"), default="cuda", help="cpu rehearses it, small")
    parser.add_argument("--minutes", type=float, default=MINUTES, help="after which no part goes on")
    parser.add_argument("--parts", nargs="+", default=[], metavar="PART", help="these alone")
    parser.add_argument("--out", type=Path, default=output_folder(), help="the folder of the report; $OUT if set")
    parser.add_argument("--bundle", type=Path, default=FOLDER, help="the folder with what this machine may lack")
    return parser


class Check:
    """One run. `log` is open for writing, and `seconds` are those of all parts together."""

    def __init__(self, out: Path, log: IO[str], unpacked: Unpacked, seconds: float) -> None:
        self._out, self._log, self._unpacked = out, log, unpacked
        self._end = time.monotonic() + seconds
        self._ended: list[tuple[Part, Ended]] = []

    def run(self, parts: Sequence[Part]) -> int:
        """Run one part after the other, and write the report anew after each."""
        self._say(f"Python {platform.python_version()} at {sys.executable}, {os.cpu_count()} cores")
        for note in self._unpacked.notes:
            self._say(note)
        for number, part in enumerate(parts, 1):
            self._say(f"\n== {number}/{len(parts)} {part.name}: {part.title}")
            ended = self._run(part)
            self._say(f"== {part.name}: {ended.outcome}, {ended.seconds:.1f} s")
            self._ended.append((part, ended))
            (self._out / "report.md").write_text(self._report() + "\n")
        self._say(f"\n{self._report()}\n\nwritten to {self._out}")
        return 0 if all(ended.whole for _, ended in self._ended) else 1

    def _run(self, part: Part) -> Ended:
        left = self._end - time.monotonic()
        if left < LEAST_SECONDS:
            return Ended("not started: the time was up", 0.0)
        env = self._unpacked.env | dict(part.env)
        return run_child([sys.executable, *part.command], env, min(part.limit, left), self._say)

    def _say(self, line: str) -> None:
        print(line, flush=True)
        self._log.write(line + "\n")
        self._log.flush()

    def _report(self) -> str:
        rows = [f"| {part.name} | {ended.outcome} | {ended.seconds:.1f} |" for part, ended in self._ended]
        parts = "\n".join(["| part | outcome | seconds |", "|---|---|---|", *rows])
        return f"{table(read_figures(self._out / 'figures.jsonl'))}\n\n{parts}"


if __name__ == "__main__":
    raise SystemExit(main())
