"""Find repetition loops: the same few words again and again, within a segment or across segments."""

import re
import string
import unicodedata
from collections.abc import Iterator, Sequence
from typing import Any, NamedTuple

import numpy as np

# A loop repeats the same words at least LOOP_REPEATS times in a row and has at least LOOP_WORDS words. People do say "no, no, no"
# or "thank you, thank you, thank you", but not a sentence of three words four times, or one word ten times.
LOOP_REPEATS = 4
LOOP_WORDS = 10
LONGEST_PERIOD = 40  # words: a sentence or two

LONG_WORD = 25  # letters; longer words are compared letter by letter: hahahahaha
LETTERS_PER_WORD = 5.0

# Scripts without spaces between words, and roughly how many of their characters make a word.
_IDEOGRAPHS = "\u3040-\u30ff\u3400-\u4dbf\u4e00-\u9fff\uf900-\ufaff\U00020000-\U0003ffff"  # Chinese characters and kana
_SYLLABLES = "\u0e00-\u0eff\u0f00-\u0fff\u1000-\u109f\u1780-\u17ff"  # Thai, Lao, Tibetan, Burmese, Khmer
_PARTS = re.compile(
    f"(?P<ideograph>[{_IDEOGRAPHS}])|(?P<syllable>[{_SYLLABLES}])|(?P<word>[^{_IDEOGRAPHS}{_SYLLABLES}]+)"
)
IDEOGRAPHS_PER_WORD = 2.0
SYLLABLE_LETTERS_PER_WORD = 5.0


class Word(NamedTuple):
    """A word, or a part of one in a script without spaces. words: how many words it counts as."""

    text: str
    words: float = 1.0


def split_words(text: str) -> list[Word]:
    """Split a text into words, without case and punctuation."""
    return [word for token in text.casefold().split() for word in _split_token(token)]


def _split_token(token: str) -> Iterator[Word]:
    for part in _PARTS.finditer(token):
        if part["ideograph"]:
            yield Word(part["ideograph"], 1 / IDEOGRAPHS_PER_WORD)
        elif part["syllable"]:
            yield Word(part["syllable"], 1 / SYLLABLE_LETTERS_PER_WORD)
        elif word := _bare(part["word"]):
            long = len(word) > LONG_WORD
            yield from (Word(letter, 1 / LETTERS_PER_WORD) for letter in word) if long else (Word(word),)


def _bare(word: str) -> str:
    """The word without the punctuation around it."""
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


def count_words(spoken: Sequence[Word]) -> float:
    """The number of words, about as a speaker of the language would count them."""
    return sum(word.words for word in spoken)


def find_loops(texts: Sequence[Sequence[Word]]) -> set[int]:
    """The indices of those consecutive texts that are part of a loop.

    At least half of their words, or LOOP_WORDS, are in a loop.
    """
    owner = np.repeat(np.arange(len(texts)), [len(text) for text in texts])
    number: dict[str, int] = {}
    ids = np.array([number.setdefault(word.text, len(number)) for text in texts for word in text], dtype=np.int64)
    inside = np.bincount(owner[_in_loop(ids)], minlength=len(texts))
    return {index for index, text in enumerate(texts) if text and inside[index] >= min(LOOP_WORDS, len(text) / 2)}


def _in_loop(ids: np.ndarray[Any, np.dtype[np.int64]]) -> np.ndarray[Any, np.dtype[np.bool_]]:
    """Whether each word is part of a loop; shape as `ids`, the words as numbers."""
    found = np.zeros(ids.size, dtype=bool)
    for period in range(1, min(LONGEST_PERIOD, ids.size // LOOP_REPEATS) + 1):
        same = np.concatenate([[False], ids[period:] == ids[:-period], [False]])
        turns = np.flatnonzero(same[1:] != same[:-1])
        starts, ends = turns[::2], turns[1::2] + period  # the first repetition has nothing before it to be equal to
        enough = ends - starts >= max(LOOP_REPEATS * period, LOOP_WORDS)
        for start, end in zip(starts[enough], ends[enough], strict=True):
            found[start:end] = True
    return found
