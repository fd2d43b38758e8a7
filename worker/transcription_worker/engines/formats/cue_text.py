"""Makes text safe for the file it is written to. Text that could not break the file stays as it is.

WebVTT: https://www.w3.org/TR/webvtt1/ (6.4 describes the text of a cue). SRT has no specification and no way to escape, so
what counts there is what its readers take for the end of a cue.
"""

import html
import re
from typing import Any

Result = dict[str, Any]

# Noncharacters of Unicode, which no text has: they hold the place of < and & while the writer breaks lines by width,
# and tell the text's own from those of the writer's <u>.
_HELD_LESS, _HELD_AND = "\ufdd0", "\ufdd1"

# Each ends a line for some reader (as str.splitlines), or is no character of a text at all.
_NO_TEXT = dict.fromkeys((*range(0x20), *range(0x7F, 0xA0), 0x2028, 0x2029), " ") | {
    ord("\n"): "\n",
    ord("\t"): "\t",
    ord(_HELD_LESS): " ",
    ord(_HELD_AND): " ",
}
_HOLDING = _NO_TEXT | {ord("<"): _HELD_LESS, ord("&"): _HELD_AND}
_ONE_LINE = _NO_TEXT | {ord("\n"): " "}

# A character reference as HTML reads it, which is how WebVTT does: the semicolon of some may be missing.
_REFERENCE = re.compile(rf"{_HELD_AND}(#[0-9]+;?|#[xX][0-9a-fA-F]+;?|[^\t\n\f <&#;{_HELD_AND}]{{1,32}};?)")
# Also what is left where openai-whisper has made -> of --> in a longer arrow.
_ARROW = re.compile(r"-{2,}>")
_NUMBER_OVER_TIME = re.compile(
    r"^(-?[0-9]+\.?[0-9]*)[^\S\n]*\n(?=[0-9]+[,.:，．。：][0-9]+[,.:，．。：][0-9]+)", re.MULTILINE
)


def hold_markup(result: Result) -> Result:
    """Return the result with one other character in place of each < and &, which render_vtt_text puts back escaped.

    So they have the width of one character while the writer breaks lines.
    """
    return _translated(result, _HOLDING)


def clean(result: Result) -> Result:
    """Return the result with a newline for each line end and a space for each control character."""
    return _translated(result, _NO_TEXT)


def flatten(result: Result) -> Result:
    """Return the result with a space for each line end and each control character."""
    return _translated(result, _ONE_LINE)


def render_vtt_text(text: str) -> str:
    """Return the text of a WebVTT cue, escaped so that a reader shows what the text says."""
    text = _REFERENCE.sub(_escaped_reference, _without_ends(text))
    return text.replace(_HELD_LESS, "&lt;").replace(_HELD_AND, "&")


def render_srt_text(text: str) -> str:
    """Return the text of an SRT cue. Markup stays as it is, because no way of escaping it is read by all readers.

    A line that is a number, above one that begins like a time, is taken for the next cue: the two become one.
    """
    return _NUMBER_OVER_TIME.sub(r"\1 ", _without_ends(text))


def _without_ends(text: str) -> str:
    """Return the text without blank lines and arrows, each of which ends a cue."""
    return _ARROW.sub("->", "\n".join(line for line in text.split("\n") if line.strip()))


def _escaped_reference(match: re.Match[str]) -> str:
    """Return a character reference escaped if a reader would resolve it, as &lt;. AT&T is none and stays."""
    plain = f"&{match[1]}"
    return f"&amp;{match[1]}" if html.unescape(plain) != plain else plain


def _translated(result: Result, table: dict[int, str]) -> Result:
    return result | {"segments": [_translated_segment(segment, table) for segment in result["segments"]]}


def _translated_segment(segment: Result, table: dict[int, str]) -> Result:
    changed = segment | {"text": _plain(segment["text"], table)}
    if "words" in segment:
        changed["words"] = [word | {"word": _plain(word["word"], table)} for word in segment["words"]]
    return changed


def _plain(text: str, table: dict[int, str]) -> str:
    return text.replace("\r\n", "\n").replace("\r", "\n").translate(table)
