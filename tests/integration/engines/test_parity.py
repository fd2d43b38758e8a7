"""The batched engine gives what openai-whisper gives, whatever else is in the batch."""

import random
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import pytest
import torch
from transcription_worker.engines.batched import engine
from transcription_worker.engines.batched.engine import BatchedEngine
from transcription_worker.engines.batched.model import backend, decoder
from transcription_worker.engines.batched.scheduling import capacity, decode_batch, scheduler, scheduler_pool
from transcription_worker.engines.openai_whisper.engine import OpenAIWhisper
from transcription_worker.engines.protocol import Transcript

from tests.support.engine_cases import all_cases, all_differences, inputs, transcripts, with_fallback
from tests.support.parity_suite import REAL_MODEL, TEST_MODEL, ParitySuite
from tests.support.real_model_cases import LONG, REFUSED, reading

# numpy warns about whisper's own argsort of a tensor.
pytestmark = pytest.mark.filterwarnings(
    "ignore:__array_wrap__:DeprecationWarning", "ignore:Word-level timestamps on translations:UserWarning"
)

MODELS = [
    pytest.param(TEST_MODEL, id="test model"),
    pytest.param(REAL_MODEL, id="tiny.en", marks=pytest.mark.real_model),
]


@pytest.fixture(scope="module", params=MODELS)
def suite(request: pytest.FixtureRequest) -> ParitySuite:
    found: ParitySuite = request.param
    return found


@pytest.fixture(scope="module")
def model(suite: ParitySuite) -> Any:
    return suite.load()


@pytest.fixture(scope="module")
def expected(suite: ParitySuite) -> dict[str, Transcript]:
    return suite.expected()


def test_there_are_at_least_forty_inputs_and_most_have_text(
    suite: ParitySuite, expected: dict[str, Transcript]
) -> None:
    assert len(suite.cases) >= 40
    assert sum(bool(one.text.strip()) for one in expected.values()) >= 30


@pytest.mark.real_model
def test_tiny_en_is_given_each_case_but_those_that_are_named() -> None:
    assert {case.name for case in all_cases()} - {case.name for case in REAL_MODEL.cases} == {*REFUSED, *LONG}


@pytest.mark.real_model
@pytest.mark.parametrize("engine", [BatchedEngine, OpenAIWhisper])
def test_what_tiny_en_is_not_given_is_refused_by_the_field(engine: Any) -> None:
    cases = [case for case in all_cases(reading) if case.name in REFUSED]
    outcomes = list(engine(REAL_MODEL.load()).transcribe(inputs(cases)))
    assert {one.id: str(one.error).split(": ")[:2] for one in outcomes} == {
        name: ["ModelInvalid", field] for name, field in REFUSED.items()
    }


@contextmanager
def threads(count: int) -> Iterator[None]:
    """Set torch's threads; with several of them, schedulers share the files of a large batch on any number of cores."""
    before = torch.get_num_threads()
    torch.set_num_threads(count)
    try:
        yield
    finally:
        torch.set_num_threads(before)


@pytest.mark.parametrize("batch", [1, 3, 8])
def test_every_token_time_and_number_is_openai_whispers(
    suite: ParitySuite, model: Any, expected: dict[str, Transcript], batch: int
) -> None:
    cases = suite.cases[:: suite.steps[batch]]
    found = transcripts(BatchedEngine(model, batch=batch), cases)
    assert not all_differences({case.name: expected[case.name] for case in cases}, found)


def test_neither_order_nor_a_second_scheduler_changes_anything(
    suite: ParitySuite, model: Any, expected: dict[str, Transcript]
) -> None:
    shuffled = suite.cases[:: suite.step]
    random.Random(3).shuffle(shuffled)
    with threads(2):
        found = transcripts(BatchedEngine(model, batch=32), shuffled)
    assert not all_differences({case.name: expected[case.name] for case in shuffled}, found)


def test_what_a_gpu_computes_is_openai_whispers_too(
    suite: ParitySuite, model: Any, expected: dict[str, Transcript], monkeypatch: pytest.MonkeyPatch
) -> None:
    """The code paths of a GPU are compared in float32 on the CPU: keys and values instead of features, all logits at once,
    and several steps in a launch before tasks resume.
    """
    for module in (decoder, decode_batch, capacity, backend):
        monkeypatch.setattr(module, "uses_numba", lambda *_: False)
    for module in (scheduler_pool, engine, scheduler):
        monkeypatch.setattr(module, "ASYNC_DEVICES", ("cpu",))
    short = [case for case in suite.cases if "min" not in case.name][:: suite.step]
    assert len(short) >= 40 // suite.step
    assert not all_differences(
        {case.name: expected[case.name] for case in short}, transcripts(BatchedEngine(model, batch=8), short)
    )


def test_what_passes_at_temperature_0_is_the_same_with_all_temperatures_to_fall_back_on(
    suite: ParitySuite, model: Any, expected: dict[str, Transcript]
) -> None:
    passing = [case for case in suite.cases if _passes(expected[case.name]) and "min" not in case.name][:: suite.step]
    assert len(passing) >= 20 // suite.step
    found = transcripts(BatchedEngine(model, batch=8), [with_fallback(case) for case in passing])
    assert all(one.counters.fallbacks == 0 for one in found.values())
    assert not all_differences({case.name: expected[case.name] for case in passing}, found)


def _passes(transcript: Transcript) -> bool:
    """Return whether no window fails the thresholds and none was skipped, perhaps for its log probability."""
    return bool(transcript.segments) and all(
        one["compression_ratio"] <= 2.4 and one["avg_logprob"] >= -1.0 and one["no_speech_prob"] <= 0.6
        for one in transcript.segments
    )
