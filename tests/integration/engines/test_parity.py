"""The batched engine gives what openai-whisper gives, whatever else is in the batch."""

import random
from collections.abc import Iterator
from typing import Any

import pytest
import whisper
from transcription_worker.engines.batched.engine import BatchedEngine
from transcription_worker.engines.openai_whisper import OpenAIWhisper
from transcription_worker.engines.protocol import InMemory, Input, Transcript

from hack.bench.engines.models import random_model
from tests.integration.engines.cases import Case, all_cases, with_fallback, without_long
from tests.support.parity import differences
from tests.support.testmodel import model_path

# numpy's words on whisper's own argsort of a tensor
pytestmark = pytest.mark.filterwarnings(
    "ignore:__array_wrap__:DeprecationWarning", "ignore:Word-level timestamps on translations:UserWarning"
)

CASES = all_cases()
# Tokens for each window of the models of random weights, which never end by themselves.
RANDOM_TOKENS = 40


def inputs(cases: list[Case]) -> Iterator[Input]:
    for case in cases:
        yield Input(case.name, lambda case=case: InMemory(case.samples()), case.options)  # type: ignore[misc]


def transcripts(engine: Any, cases: list[Case]) -> dict[str, Transcript]:
    return {outcome.id: outcome.value() for outcome in engine.transcribe(inputs(cases))}


def told(expected: dict[str, Transcript], found: dict[str, Transcript]) -> list[str]:
    """All differences of all inputs, for the failure's message."""
    assert set(found) == set(expected)
    return [f"{name}: {line}" for name, one in expected.items() for line in differences(one, found[name])]


@pytest.fixture(scope="module")
def model() -> Any:
    return whisper.load_model(str(model_path()), device="cpu")


@pytest.fixture(scope="module")
def expected(model: Any) -> dict[str, Transcript]:
    """openai-whisper's own, one file after the other."""
    return transcripts(OpenAIWhisper(model), CASES)


def test_there_are_at_least_forty_inputs_and_most_have_text(expected: dict[str, Transcript]) -> None:
    assert len(CASES) >= 40
    assert sum(bool(one.text.strip()) for one in expected.values()) >= 30


@pytest.mark.parametrize("batch", [1, 3, 8, 32])
def test_every_token_time_and_number_is_openai_whispers(
    model: Any, expected: dict[str, Transcript], batch: int
) -> None:
    assert not told(expected, transcripts(BatchedEngine(model, batch=batch), CASES))


def test_files_of_a_batch_never_influence_one_another(model: Any, expected: dict[str, Transcript]) -> None:
    shuffled = CASES.copy()
    random.Random(3).shuffle(shuffled)
    assert not told(expected, transcripts(BatchedEngine(model, batch=5), shuffled))


@pytest.mark.parametrize("size", ["tiny", "base"])
def test_models_of_random_weights_agree_too(size: str) -> None:
    model, cases = random_model(size, RANDOM_TOKENS), without_long()
    reference = transcripts(OpenAIWhisper(model), cases)
    assert all(one.segments for one in reference.values())
    for batch in (1, 3):
        assert not told(reference, transcripts(BatchedEngine(model, batch=batch), cases))


def test_what_passes_at_temperature_0_is_the_same_with_all_temperatures_to_fall_back_on(
    model: Any, expected: dict[str, Transcript]
) -> None:
    passing = [case for case in CASES if _passes(expected[case.name]) and "min" not in case.name]
    assert len(passing) >= 20
    found = transcripts(BatchedEngine(model, batch=8), [with_fallback(case) for case in passing])
    assert all(one.counters.fallbacks == 0 for one in found.values())
    assert not told({case.name: expected[case.name] for case in passing}, found)


def _passes(transcript: Transcript) -> bool:
    """No window fails the thresholds, and none was passed over, which might have been for its log probability."""
    return bool(transcript.segments) and all(
        one["compression_ratio"] <= 2.4 and one["avg_logprob"] >= -1.0 and one["no_speech_prob"] <= 0.6
        for one in transcript.segments
    )


def test_samples_of_a_fallback_are_the_same_in_every_run_batch_and_order(model: Any) -> None:
    wanted = ("2.0 s", "30.1 s", "noise", "clipped", "2.0 s, beams")
    # No text is so probable: every window goes up to temperature 0.4.
    cases = [
        with_fallback(case, logprob_threshold=-0.0001, no_speech_threshold=1.0) for case in CASES if case.name in wanted
    ]
    first = transcripts(BatchedEngine(model, batch=1), cases)
    assert sum(one.counters.fallbacks for one in first.values()) >= len(cases)
    assert any(segment["temperature"] > 0 for one in first.values() for segment in one.segments)
    for batch, order in ((1, cases), (3, cases[::-1]), (8, cases)):
        found = transcripts(BatchedEngine(model, batch=batch), order)
        assert not told(first, found)
