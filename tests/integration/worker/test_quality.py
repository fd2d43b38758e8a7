"""In twenty minutes of speech, flagged segments are wrong, and right ones are not flagged."""

from dataclasses import dataclass
from typing import Any

import pytest
import torch
import whisper
from transcription_api.spec import Decoding, TaskKind
from transcription_worker.engines.protocol import InMemory, Options
from transcription_worker.engines.quality.flags import flag_segments

from tests.support.speech import Utterance, speak
from tests.support.testmodel import model_path
from tests.support.transcript_score import word_error_rate

OPTIONS = Options(TaskKind.TRANSCRIBE, None, Decoding())
SEEDS = range(21, 26)
SECONDS = 130  # of each recording: 21 minutes in both languages
NEAR = 0.3  # seconds by which the times of a right segment may be off


@dataclass(frozen=True)
class LanguageProbabilities:
    """The segments with text of all recordings, and whether each has the words that are spoken at its time."""

    segments: list[dict[str, Any]]
    right: list[bool]


def is_right(segment: dict[str, Any], utterances: list[Utterance]) -> bool:
    """Return whether an utterance has the segment's times and text."""
    said = [u for u in utterances if abs(u.start - segment["start"]) < NEAR and abs(u.end - segment["end"]) < NEAR]
    return any(word_error_rate(one.text, segment["text"]) == 0 for one in said)


@pytest.fixture(scope="module", params=["en", "pt"])
def heard(request: pytest.FixtureRequest) -> LanguageProbabilities:
    torch.set_num_threads(1)
    model = whisper.load_model(str(model_path()), device="cpu")
    segments, right = [], []
    for seed in SEEDS:
        samples, utterances = speak(request.param, seed, SECONDS)
        result = model.transcribe(samples, fp16=False, language=request.param, temperature=0.0)
        flag_segments(result["segments"], InMemory(samples), OPTIONS)
        spoken = [segment for segment in result["segments"] if segment["text"].strip()]
        segments += spoken
        right += [is_right(segment, utterances) for segment in spoken]
    return LanguageProbabilities(segments, right)


def test_no_right_segment_is_flagged(heard: LanguageProbabilities) -> None:
    assert sum(heard.right) > 150
    flagged = [one for one, right in zip(heard.segments, heard.right, strict=True) if right and "flags" in one]
    assert flagged == []


def test_hardly_anything_is_flagged(heard: LanguageProbabilities) -> None:
    flagged = [(one["text"], one["start"], one["end"], one["flags"]) for one in heard.segments if "flags" in one]
    assert len(flagged) <= 0.02 * len(heard.segments), flagged
