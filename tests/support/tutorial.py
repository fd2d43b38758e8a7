"""Read docs/tutorial.md: its commands, and what it says that they print."""

import re
from collections.abc import Iterator
from dataclasses import dataclass

from tests.support.repository import ROOT

PAGE = (ROOT / "docs/tutorial.md").read_text()
# What makes and removes the cluster: a test runs the one by itself, and the other would end the tests.
DEMO, END = "make demo", "make cluster-down"
TRANSCRIPT = "interviews/english.txt:"
# Of the demo's English: "nineteen" and "thirty" are written as numbers, and tiny.en mishears three words.
WER_MAX = 0.1
MORE = "..."  # the first or last line of what is shown, where more is printed
UNFINISHED = re.compile(r"^ +[a-z-]+ +(Pending|Running)\b")
NUMBER = re.compile(r"\b\d+(?:\.\d+)?[hmsx]?(?:\d+[hms])*\b")


@dataclass(frozen=True)
class Step:
    """Commands of the tutorial, and what they print; None where it shows nothing."""

    commands: str
    printed: str | None


def steps() -> list[Step]:
    """Return all steps in their order."""
    return list(_steps(re.findall(r"^```(sh|text)\n(.*?)^```$", PAGE, re.M | re.S)))


def _steps(blocks: list[tuple[str, str]]) -> Iterator[Step]:
    for (language, commands), (following, text) in zip(blocks, [*blocks[1:], ("", "")], strict=True):
        if language == "sh":
            yield Step(commands, text if following == "text" else None)


def shown_by_the_demo() -> str:
    """Return what the tutorial shows of the demo's output."""
    (text,) = [step.printed for step in steps() if step.commands.strip() == DEMO]
    assert text is not None
    return text


def transcript_in(text: str) -> str:
    """Return the transcript in what the demo prints."""
    return text.partition(f"{TRANSCRIPT}\n")[2].partition("\n\n")[0]


def steady_lines(text: str) -> list[str]:
    """Return the lines that are the same in each run: without numbers, transcripts and resources that have not ended."""
    lines = text.replace(transcript_in(text), "").splitlines()
    return [" ".join(NUMBER.sub("N", line).split()) for line in lines if line.strip() and not UNFINISHED.match(line)]


def missing(shown: str, printed: str) -> list[str]:
    """Return the differences of what a command printed from what the tutorial shows."""
    expected, found = steady_lines(shown), steady_lines(printed)
    if expected[0] == MORE:
        expected, found = expected[1:], found[1 - len(expected) :]
    if expected[-1] == MORE:
        expected, found = expected[:-1], found[: len(expected) - 1]
    return [] if expected == found else [f"expected {expected}, got {found}"]
