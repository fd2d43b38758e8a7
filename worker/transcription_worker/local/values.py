"""Read the values of the local command's options in the same way as openai-whisper's command.

Every reader raises argparse.ArgumentTypeError, with the text and what was expected, for a text that it refuses.
"""

import argparse
from collections.abc import Callable

from transcription_api.decoding import LAST_TOKEN, LONGEST_AUDIO_SECONDS
from transcription_api.languages import CODES
from transcription_api.spec import Clip, Format

# The text that stands for no value in whisper's command.
NONE = "None"
ALL_FORMATS = "all"


def number(low: float, high: float, *, none: bool = False) -> Callable[[str], float | None]:
    """Return a reader of numbers from `low` to `high`. With `none` the text None is read as no value."""

    def parse(text: str) -> float | None:
        if none and text == NONE:
            return None
        try:
            value = float(text)
        except ValueError:
            value = float("nan")
        if not low <= value <= high:
            raise _wrong(text, f"a number from {low:g} to {high:g}" + (" or None" if none else ""))
        return value

    return parse


def whole(low: int, high: int, *, none: bool = False) -> Callable[[str], int | None]:
    """Return a reader of whole numbers from `low` to `high`. With `none` the text None is read as no value."""

    def parse(text: str) -> int | None:
        if none and text == NONE:
            return None
        if not text.isdecimal() or not low <= int(text) <= high:
            raise _wrong(text, f"a whole number from {low} to {high}" + (" or None" if none else ""))
        return int(text)

    return parse


def truth(text: str) -> bool:
    """Read True or False, as whisper's command writes them, in any case."""
    if text.lower() not in ("true", "false"):
        raise _wrong(text, "True or False")
    return text.lower() == "true"


def language(text: str) -> str | None:
    """Read a language's code or its English name, in any case, as its code. auto gives None."""
    lowered = text.lower()
    if lowered in ("auto", NONE.lower()):
        return None
    if lowered in CODES:
        return lowered
    # This imports torch, which takes seconds, so only names of languages do it.
    from transcription_worker.engines.languages import code_of

    code = code_of(lowered)
    if code is None:
        raise _wrong(text, f"auto, a language's English name, or its code: one of {' '.join(CODES)}")
    return code


def language_code(text: str) -> str:
    """Read a language's code or its English name as its code; auto is refused."""
    code = language(text)
    if code is None:
        raise _wrong(text, "a language's code or English name")
    return code


def languages(text: str) -> tuple[str, ...]:
    """Read languages that are separated by commas, as their codes."""
    return tuple(language_code(part.strip()) for part in text.split(","))


def formats(text: str) -> tuple[Format, ...]:
    """Read one format, several that are separated by commas, or all."""
    if text == ALL_FORMATS:
        return tuple(Format)
    known = {fmt.value: fmt for fmt in Format}
    asked = [part.strip() for part in text.split(",")]
    if any(part not in known for part in asked):
        raise _wrong(text, f"all, or some of {', '.join(known)}, separated by commas")
    return tuple(dict.fromkeys(known[part] for part in asked))


def tokens(text: str) -> tuple[int, ...]:
    """Read the numbers of tokens, separated by commas. An empty text gives none."""
    try:
        numbers = tuple(int(part) for part in text.split(",")) if text.strip() else ()
    except ValueError:
        numbers = (-2,)
    if not all(-1 <= number <= LAST_TOKEN for number in numbers):
        expected = f"numbers of tokens up to {LAST_TOKEN} separated by commas, -1 for symbols that nobody speaks"
        raise _wrong(text, expected)
    return numbers


def clips(text: str) -> tuple[Clip, ...]:
    """Read clips as start,end,start,end,... in seconds and in ascending order.

    The last end may be left out. 0 alone stands for all of the audio and gives no clips.
    """
    try:
        points = [float(part) for part in text.split(",")] if text.strip() else []
    except ValueError:
        points = [-1.0]
    empty = any(start >= end for start, end in zip(points[::2], points[1::2], strict=False))
    if empty or not all(0 <= point <= LONGEST_AUDIO_SECONDS for point in points) or points != sorted(points):
        raise _wrong(text, f"seconds as start,end,start,end,..., in ascending order, up to {LONGEST_AUDIO_SECONDS}")
    if points in ([], [0.0]):
        return ()
    ends: list[float | None] = [*points[1::2], *([None] * (len(points) % 2))]
    return tuple(Clip(start, end) for start, end in zip(points[::2], ends, strict=True))


def _wrong(text: str, expected: str) -> argparse.ArgumentTypeError:
    return argparse.ArgumentTypeError(f"got {text!r}, expected {expected}")
