"""The page about quality says what the code does."""

import re
from pathlib import Path

import pytest
from transcription_worker.engines import loops, quality
from transcription_worker.engines.loudness import GATE
from transcription_worker.engines.quality import (
    FLAGS,
    IMPLAUSIBLE_RATE,
    LOW_CONFIDENCE,
    REPETITION_LOOP,
    TEXT_OVER_SILENCE,
)

PAGE = (Path(__file__).parents[3] / "docs/quality.md").read_text()
ENTRIES = dict(re.findall(r"^### `([\w-]+)`\n\n(.*?)(?=^#|\Z)", PAGE, re.M | re.S))
NUMBERS = {
    REPETITION_LOOP: (quality.COMPRESSION_RATIO, loops.LOOP_REPEATS, loops.LOOP_UNITS, loops.LONGEST_PERIOD),
    TEXT_OVER_SILENCE: (GATE, quality.SOUND_A_WORD, quality.NO_SPEECH, quality.NO_SPEECH_LOG_PROBABILITY),
    LOW_CONFIDENCE: (
        quality.LOG_PROBABILITY,
        quality.TRANSLATION_LOG_PROBABILITY,
        quality.IMPROBABLE_WORD,
        quality.IMPROBABLE_MIN,
    ),
    IMPLAUSIBLE_RATE: (quality.FASTEST, quality.FASTEST_SLACK, quality.SLOWEST, quality.SLOWEST_SECONDS),
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
    assert (quality.DOUBTFUL_SHARE, quality.BAD_SHARE) == (0.02, 0.25)
