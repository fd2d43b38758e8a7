"""The batched engine gives what openai-whisper gives, whatever else is in the batch."""

import random
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import pytest
import torch
import whisper
from transcription_worker.engines.batched import engine
from transcription_worker.engines.batched.engine import BatchedEngine
from transcription_worker.engines.batched.model import backend, decoder
from transcription_worker.engines.batched.scheduling import capacity, decode_batch, scheduler, scheduler_pool
from transcription_worker.engines.openai_whisper.engine import OpenAIWhisper
from transcription_worker.engines.protocol import Transcript

from tests.support.engine_cases import all_cases, all_differences, transcripts, with_fallback
from tests.support.testmodel import model_path

# numpy warns about whisper's own argsort of a tensor.
pytestmark = pytest.mark.filterwarnings(
    "ignore:__array_wrap__:DeprecationWarning", "ignore:Word-level timestamps on translations:UserWarning"
)

CASES = all_cases()


@pytest.fixture(scope="module")
def model() -> Any:
    return whisper.load_model(str(model_path()), device="cpu")


@pytest.fixture(scope="module")
def expected(model: Any) -> dict[str, Transcript]:
    """Return openai-whisper's own transcripts, made one file after the other."""
    return transcripts(OpenAIWhisper(model), CASES)


def test_there_are_at_least_forty_inputs_and_most_have_text(expected: dict[str, Transcript]) -> None:
    assert len(CASES) >= 40
    assert sum(bool(one.text.strip()) for one in expected.values()) >= 30


@contextmanager
def threads(count: int) -> Iterator[None]:
    """Set torch's threads; with several of them, schedulers share the files of a large batch on any number of cores."""
    before = torch.get_num_threads()
    torch.set_num_threads(count)
    try:
        yield
    finally:
        torch.set_num_threads(before)


@pytest.mark.parametrize(("batch", "step"), [(1, 4), (3, 2), (8, 1)])
def test_every_token_time_and_number_is_openai_whispers(
    model: Any, expected: dict[str, Transcript], batch: int, step: int
) -> None:
    """Small batches take long, and less can go wrong in them: every second or fourth input is enough."""
    cases = CASES[::step]
    found = transcripts(BatchedEngine(model, batch=batch), cases)
    assert not all_differences({case.name: expected[case.name] for case in cases}, found)


def test_neither_order_nor_a_second_scheduler_changes_anything(model: Any, expected: dict[str, Transcript]) -> None:
    shuffled = CASES.copy()
    random.Random(3).shuffle(shuffled)
    with threads(2):
        assert not all_differences(expected, transcripts(BatchedEngine(model, batch=32), shuffled))


def test_what_a_gpu_computes_is_openai_whispers_too(
    model: Any, expected: dict[str, Transcript], monkeypatch: pytest.MonkeyPatch
) -> None:
    """The code paths of a GPU are compared in float32 on the CPU: keys and values instead of features, all logits at once,
    and several steps in a launch before tasks resume.
    """
    for module in (decoder, decode_batch, capacity, backend):
        monkeypatch.setattr(module, "uses_numba", lambda *_: False)
    for module in (scheduler_pool, engine, scheduler):
        monkeypatch.setattr(module, "ASYNC_DEVICES", ("cpu",))
    short = [case for case in CASES if "min" not in case.name]
    assert len(short) >= 40
    assert not all_differences(
        {case.name: expected[case.name] for case in short}, transcripts(BatchedEngine(model, batch=8), short)
    )


def test_what_passes_at_temperature_0_is_the_same_with_all_temperatures_to_fall_back_on(
    model: Any, expected: dict[str, Transcript]
) -> None:
    passing = [case for case in CASES if _passes(expected[case.name]) and "min" not in case.name]
    assert len(passing) >= 20
    found = transcripts(BatchedEngine(model, batch=8), [with_fallback(case) for case in passing])
    assert all(one.counters.fallbacks == 0 for one in found.values())
    assert not all_differences({case.name: expected[case.name] for case in passing}, found)


def _passes(transcript: Transcript) -> bool:
    """Return whether no window fails the thresholds and none was skipped, perhaps for its log probability."""
    return bool(transcript.segments) and all(
        one["compression_ratio"] <= 2.4 and one["avg_logprob"] >= -1.0 and one["no_speech_prob"] <= 0.6
        for one in transcript.segments
    )
