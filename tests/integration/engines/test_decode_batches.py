"""Decode batches cope with little memory and asynchronous devices, and use the backend's context for attention."""

import contextlib
import weakref
from collections.abc import Callable, Iterator
from functools import partial
from typing import Any

import pytest
import torch
import whisper
from transcription_api import reasons
from transcription_worker.engines.batched.engine import BatchedEngine
from transcription_worker.engines.batched.model import model_runner
from transcription_worker.engines.batched.model.backend import Backend
from transcription_worker.engines.batched.model.cross_attention import NumbaCrossAttention
from transcription_worker.engines.batched.model.decoder import Decoder
from transcription_worker.engines.batched.model.model_runner import ModelRunner
from transcription_worker.engines.batched.requests import DecodeResponse
from transcription_worker.engines.batched.scheduling import scheduler
from transcription_worker.engines.batched.scheduling.decode_batch import DecodeBatch

from tests.support.engine_cases import GREEDY, SHORT, by_id, item, options, spoken
from tests.support.testmodel import model_path


@pytest.fixture(scope="module")
def model() -> Any:
    return whisper.load_model(str(model_path()), device="cpu")


@pytest.mark.parametrize(("async_devices", "expected"), [(("cpu",), "launched"), (("cuda",), "resumed")])
def test_a_gpu_has_steps_to_run_while_the_host_resumes_tasks_whose_windows_are_done(
    model: Any, monkeypatch: pytest.MonkeyPatch, async_devices: tuple[str, ...], expected: str
) -> None:
    monkeypatch.setattr(scheduler, "ASYNC_DEVICES", async_devices)
    events: list[str] = []
    slots = set[int]()
    launch, collect = DecodeBatch.launch, DecodeBatch.collect

    def launched(self: DecodeBatch[Any], steps: int = 1) -> None:
        events.append("launched")
        slots.add(self.slots)
        launch(self, steps)

    def collected(self: DecodeBatch[Any]) -> Any:
        found = collect(self)
        # There is nothing to launch if no other window is being decoded.
        events.extend(["collected"] if found and self.used_slots else [])
        return [(task, partial(resumed, response)) for task, response in found]

    def resumed(response: Callable[[], DecodeResponse]) -> DecodeResponse:
        events.append("resumed")
        return response()

    monkeypatch.setattr(DecodeBatch, "launch", launched)
    monkeypatch.setattr(DecodeBatch, "collect", collected)
    inputs = [item(str(number), spoken("en", 940 + number, SHORT + 3 * number)) for number in range(5)]
    list(BatchedEngine(model, batch=3).transcribe(inputs))
    assert "resumed" in events
    assert {events[at + 1] for at, event in enumerate(events) if event == "collected"} == {expected}
    if async_devices == ("cpu",):
        # The batch has all slots from the start, since a larger one would have to capture its CUDA graphs again.
        assert slots == {3}


def test_a_batch_that_cannot_grow_goes_on_as_it_is(model: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    inputs = [item(str(number), spoken("en", 970 + number, SHORT)) for number in range(6)]
    expected = by_id(BatchedEngine(model, batch=6).transcribe(inputs))
    refused = []

    def resized(self: DecodeBatch[Any], slots: int) -> Any:
        refused.append(slots)
        raise torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 2.00 GiB.")

    monkeypatch.setattr(DecodeBatch, "resized", resized)
    found = by_id(BatchedEngine(model, batch=6).transcribe(inputs))
    assert refused
    assert {name: one.value().text for name, one in found.items()} == {
        name: one.value().text for name, one in expected.items()
    }


def test_an_idle_batch_is_dropped_to_make_memory_for_one_with_another_key(
    model: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    living: weakref.WeakSet[DecodeBatch[Any]] = weakref.WeakSet()
    refused, begin = [], DecodeBatch.__init__

    def begun(self: DecodeBatch[Any], *given: Any) -> None:
        if living:
            refused.append(given)
            raise torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 2.00 GiB.")
        begin(self, *given)
        living.add(self)

    monkeypatch.setattr(DecodeBatch, "__init__", begun)
    # No text is probable enough, so the window is decoded at one temperature and then in the batch of the other.
    falling = options(GREEDY | {"temperatures": (0.0, 0.4), "logprob_threshold": 0.0}, language="en")
    found = by_id(BatchedEngine(model, batch=3).transcribe([item("a", spoken("en", 940, SHORT), falling)]))
    assert found["a"].value().counters.fallbacks == 1
    assert len(refused) == 1


def test_windows_that_do_not_fit_together_into_memory_are_done_apart(
    model: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    inputs = [item(str(number), spoken("en", 970 + number, SHORT)) for number in range(5)]
    expected = by_id(BatchedEngine(model, batch=5).transcribe(inputs))
    failures = dict.fromkeys(("encode", "launch"), 0)
    encode, launch = ModelRunner.encode, DecodeBatch.launch

    def encode_one(self: ModelRunner, mels: list[torch.Tensor]) -> list[torch.Tensor]:
        if len(mels) > 1:
            failures["encode"] += 1
            raise torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 2.00 GiB.")
        return encode(self, mels)

    def launch_two(self: DecodeBatch[Any], steps: int = 1) -> None:
        if self.used_slots > 2:
            failures["launch"] += 1
            raise torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 2.00 GiB.")
        launch(self, steps)

    monkeypatch.setattr(ModelRunner, "encode", encode_one)
    monkeypatch.setattr(DecodeBatch, "launch", launch_two)
    found = by_id(BatchedEngine(model, batch=5).transcribe(inputs))
    assert all(failures.values()), failures
    assert {name: one.value().text for name, one in found.items()} == {
        name: one.value().text for name, one in expected.items()
    }


def test_a_window_that_does_not_fit_alone_fails_its_own_file(model: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    def never(self: DecodeBatch[Any], steps: int = 1) -> None:
        raise torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 2.00 GiB.")

    monkeypatch.setattr(DecodeBatch, "launch", never)
    inputs = [item(str(number), spoken("en", 970, SHORT)) for number in range(3)]
    found = by_id(BatchedEngine(model, batch=3).transcribe(inputs))
    assert len(found) == 3
    for outcome in found.values():
        assert outcome.error is not None
        assert outcome.error.reason is reasons.OUT_OF_MEMORY


def test_all_attention_is_computed_in_the_context_that_the_backend_gives(
    model: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    inside: list[str] = []
    seen = set[tuple[str, bool]]()

    @contextlib.contextmanager
    def attention_context() -> Iterator[None]:
        inside.append("here")
        yield
        inside.pop()

    def watched(owner: Any, name: str) -> None:
        original = getattr(owner, name)

        def called(*given: Any) -> Any:
            seen.add((name, bool(inside)))
            return original(*given)

        monkeypatch.setattr(owner, name, called)

    monkeypatch.setattr(
        model_runner,
        "choose_backend",
        lambda *_: Backend(cross_attention=NumbaCrossAttention, attention_context=attention_context),
    )
    parts = {(ModelRunner, "encode"), (Decoder, "prefill"), (Decoder, "step"), (Decoder, "forward")}
    for owner, name in parts:
        watched(owner, name)
    options_with_words = options(GREEDY | {"word_timestamps": True})
    outcome = next(BatchedEngine(model, batch=1).transcribe([item("a", spoken("en", 940, SHORT), options_with_words)]))
    assert outcome.value().text
    assert seen == {(name, True) for _, name in parts}
    assert not inside
