"""The page about quality says what the code does."""

import re
from pathlib import Path

import pytest
from transcription_worker.engines.quality import flags, repetition
from transcription_worker.engines.quality.flags import (
    FLAGS,
    IMPLAUSIBLE_RATE,
    LOW_CONFIDENCE,
    REPETITION_LOOP,
    TEXT_OVER_SILENCE,
)
from transcription_worker.engines.speech.loudness import GATE

PAGE = (Path(__file__).parents[3] / "docs/quality.md").read_text()
ENTRIES = dict(re.findall(r"^### `([\w-]+)`\n\n(.*?)(?=^#|\Z)", PAGE, re.M | re.S))
NUMBERS = {
    REPETITION_LOOP: (
        flags.COMPRESSION_RATIO,
        repetition.LOOP_REPEATS,
        repetition.LOOP_WORDS,
        repetition.LONGEST_PERIOD,
    ),
    TEXT_OVER_SILENCE: (GATE, flags.MIN_SOUND_PER_WORD, flags.NO_SPEECH, flags.NO_SPEECH_LOG_PROBABILITY),
    LOW_CONFIDENCE: (
        flags.LOG_PROBABILITY,
        flags.TRANSLATION_LOG_PROBABILITY,
        flags.IMPROBABLE_WORD,
        flags.IMPROBABLE_MIN,
    ),
    IMPLAUSIBLE_RATE: (flags.MAX_RATE, flags.MAX_RATE_SLACK, flags.MIN_RATE, flags.MIN_RATE_SECONDS),
}


def test_the_page_has_an_entry_for_each_flag() -> None:
    assert tuple(ENTRIES) == FLAGS


@pytest.mark.parametrize("flag", FLAGS)
def test_an_entry_says_the_thresholds_of_the_code(flag: str) -> None:
    said = {float(number.replace("−", "-")) for number in re.findall(r"[-−]?\d+(?:\.\d+)?", ENTRIES[flag])}
    assert set(NUMBERS[flag]) <= said


def test_the_page_says_the_shares_of_the_verdicts() -> None:
    shares = dict(re.findall(r"^\| `(\w+)` \| .*?(\d+)%", PAGE, re.M))
    assert shares == {"good": "2", "doubtful": "2", "bad": "25"}
    assert (flags.DOUBTFUL_SHARE, flags.BAD_SHARE) == (0.02, 0.25)
