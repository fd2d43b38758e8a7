"""Text that repeats itself: the same few words again and again, within a segment or from one segment to the next."""

import re
import string
import unicodedata
from collections.abc import Iterator, Sequence
from typing import Any, NamedTuple

import numpy as np

# A loop is the same words at least LOOP_REPEATS times in a row, and at least LOOP_UNITS words of them: "no, no, no, no" and
# "thank you, thank you, thank you" are said; four equal sentences of three words, or one word ten times, are not.
LOOP_REPEATS = 4
LOOP_UNITS = 10
LONGEST_PERIOD = 40  # words: a sentence or two

LONG_WORD = 25  # letters. What is longer is taken letter by letter: hahahahaha
LETTERS_A_WORD = 5.0

# Scripts that put no space between words: so many of their characters make a word, roughly.
_IDEOGRAPHS = "\u3040-\u30ff\u3400-\u4dbf\u4e00-\u9fff\uf900-\ufaff\U00020000-\U0003ffff"  # Chinese characters and kana
_SYLLABLES = "\u0e00-\u0eff\u0f00-\u0fff\u1000-\u109f\u1780-\u17ff"  # Thai, Lao, Tibetan, Burmese, Khmer
_PARTS = re.compile(
    f"(?P<ideograph>[{_IDEOGRAPHS}])|(?P<syllable>[{_SYLLABLES}])|(?P<word>[^{_IDEOGRAPHS}{_SYLLABLES}]+)"
)
IDEOGRAPHS_A_WORD = 2.0
SYLLABLE_LETTERS_A_WORD = 5.0


class Unit(NamedTuple):
    """A word, or a part of one where words cannot be told apart. `words`: how much of a word it is."""

    text: str
    words: float = 1.0


def units(text: str) -> list[Unit]:
    """The text without case and punctuation."""
    return [unit for token in text.casefold().split() for unit in _units_of(token)]


def _units_of(token: str) -> Iterator[Unit]:
    for part in _PARTS.finditer(token):
        if part["ideograph"]:
            yield Unit(part["ideograph"], 1 / IDEOGRAPHS_A_WORD)
        elif part["syllable"]:
            yield Unit(part["syllable"], 1 / SYLLABLE_LETTERS_A_WORD)
        elif word := _bare(part["word"]):
            long = len(word) > LONG_WORD
            yield from (Unit(letter, 1 / LETTERS_A_WORD) for letter in word) if long else (Unit(word),)


def _bare(word: str) -> str:
    """Without the punctuation around it."""
    if word.isascii():
        return word.strip(string.punctuation)
    first, last = 0, len(word)
    while first < last and _is_punctuation(word[first]):
        first += 1
    while last > first and _is_punctuation(word[last - 1]):
        last -= 1
    return word[first:last]


def _is_punctuation(character: str) -> bool:
    return unicodedata.category(character)[0] in "PSZC"


def count_words(spoken: Sequence[Unit]) -> float:
    """About as many words as a speaker of the language would count."""
    return sum(unit.words for unit in spoken)


def looped(texts: Sequence[Sequence[Unit]]) -> set[int]:
    """Which of the consecutive texts are part of a loop: half of their words are in one, or enough to be one."""
    owner = np.repeat(np.arange(len(texts)), [len(text) for text in texts])
    number: dict[str, int] = {}
    ids = np.array([number.setdefault(unit.text, len(number)) for text in texts for unit in text], dtype=np.int64)
    inside = np.bincount(owner[_in_loop(ids)], minlength=len(texts))
    return {index for index, text in enumerate(texts) if text and inside[index] >= min(LOOP_UNITS, len(text) / 2)}


def _in_loop(ids: np.ndarray[Any, np.dtype[np.int64]]) -> np.ndarray[Any, np.dtype[np.bool_]]:
    """For each of the words whether it is part of a loop."""
    found = np.zeros(ids.size, dtype=bool)
    for period in range(1, min(LONGEST_PERIOD, ids.size // LOOP_REPEATS) + 1):
        same = np.concatenate([[False], ids[period:] == ids[:-period], [False]])
        turns = np.flatnonzero(same[1:] != same[:-1])
        starts, ends = turns[::2], turns[1::2] + period  # the first time is not equal to anything before it
        enough = ends - starts >= max(LOOP_REPEATS * period, LOOP_UNITS)
        for start, end in zip(starts[enough], ends[enough], strict=True):
            found[start:end] = True
    return found
