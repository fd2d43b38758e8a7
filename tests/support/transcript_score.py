"""Score a transcript by its word error rate, and by how far its segments' starts are from those of utterances."""

import string
from collections.abc import Sequence

from tests.support.speech import Utterance


def words(text: str) -> str:
    """Return the words of `text` in lower case, without punctuation and with one space between them."""
    return " ".join(text.lower().translate(str.maketrans("", "", string.punctuation)).split())


def word_error_rate(spoken: str, transcript: str) -> float:
    """Return the substituted, missing and added words over the number of spoken words, ignoring case and punctuation.

    Raises:
        ValueError: nothing was spoken, so that the rate is not defined.
    """
    if not words(spoken):
        raise ValueError(f"spoken: {spoken!r}; expected at least one word")
    import jiwer  # compiled: a machine that is there for its GPU alone may lack it

    return float(jiwer.wer(words(spoken), words(transcript)))


def spoken_text(utterances: Sequence[Utterance]) -> str:
    """Return all that is said in a recording."""
    return " ".join(utterance.text for utterance in utterances)


def start_errors(utterances: Sequence[Utterance], starts: Sequence[float]) -> list[float]:
    """Return the seconds from each of `starts` to the nearest start of an utterance."""
    return [min(abs(start - utterance.start) for utterance in utterances) for start in starts]
