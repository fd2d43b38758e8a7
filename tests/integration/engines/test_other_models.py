"""The batched engine agrees with openai-whisper with other models, and above temperature 0."""

from typing import Any

import pytest
import whisper
from transcription_worker.engines.batched.engine import BatchedEngine
from transcription_worker.engines.openai_whisper.engine import OpenAIWhisper

from benchmarks.engines.random_models import random_model
from tests.support.engine_cases import all_cases, all_differences, transcripts, with_fallback, without_long
from tests.support.testmodel import model_path

# numpy warns about whisper's own argsort of a tensor.
pytestmark = pytest.mark.filterwarnings("ignore:__array_wrap__:DeprecationWarning")

# The tokens for each window of models with random weights, which never end by themselves.
RANDOM_TOKENS = 20


def test_a_model_of_random_weights_agrees_too() -> None:
    model, cases = random_model("tiny", RANDOM_TOKENS), without_long()
    reference = transcripts(OpenAIWhisper(model), cases)
    assert all(one.segments for one in reference.values())
    assert not all_differences(reference, transcripts(BatchedEngine(model, batch=3), cases))


def test_samples_of_a_fallback_are_the_same_in_every_run_batch_and_order() -> None:
    model: Any = whisper.load_model(str(model_path()), device="cpu")
    wanted = ("2.0 s", "noise", "clipped", "2.0 s, beams")
    # No text is that probable, so every window goes up to temperature 0.4.
    cases = [
        with_fallback(case, logprob_threshold=-0.0001, no_speech_threshold=1.0)
        for case in all_cases()
        if case.name in wanted
    ]
    first = transcripts(BatchedEngine(model, batch=1), cases)
    again = transcripts(BatchedEngine(model, batch=1), cases[:1])
    assert not all_differences({cases[0].name: first[cases[0].name]}, again)
    assert sum(one.counters.fallbacks for one in first.values()) >= len(cases)
    assert any(segment["temperature"] > 0 for one in first.values() for segment in one.segments)
    for batch, order in ((3, cases[::-1]), (8, cases)):
        found = transcripts(BatchedEngine(model, batch=batch), order)
        assert not all_differences(first, found)
