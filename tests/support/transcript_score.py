"""How good a transcript is: its word error rate, and how far the starts of segments are from those of utterances."""

import string
from collections.abc import Sequence

import jiwer

from tests.support.speech import Utterance


def words(text: str) -> str:
    """`text` as words alone: lower case, no punctuation, one space between them."""
    return " ".join(text.lower().translate(str.maketrans("", "", string.punctuation)).split())


def word_error_rate(spoken: str, transcript: str) -> float:
    """Substituted, missing and added words over the number of words spoken; case and punctuation do not count.

    Raises ValueError when nothing was spoken: the rate is not defined then.
    """
    if not words(spoken):
        raise ValueError(f"spoken: {spoken!r}; expected at least one word")
    return float(jiwer.wer(words(spoken), words(transcript)))


def spoken_text(utterances: Sequence[Utterance]) -> str:
    """All that is said in a recording."""
    return " ".join(utterance.text for utterance in utterances)


def start_errors(utterances: Sequence[Utterance], starts: Sequence[float]) -> list[float]:
    """For each of `starts`, seconds to the nearest start of an utterance."""
    return [min(abs(start - utterance.start) for utterance in utterances) for start in starts]
