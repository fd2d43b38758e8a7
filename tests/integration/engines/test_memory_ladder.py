"""Where memory runs out, work waits for what other work holds; only what does not fit by itself fails, and sizes recover."""

import re
import weakref
from collections.abc import Callable
from typing import Any

import pytest
import torch
import whisper
from transcription_worker.engines.batched.algorithm.log_mel import LogMel
from transcription_worker.engines.batched.engine import BatchedEngine
from transcription_worker.engines.batched.model.model_runner import ModelRunner
from transcription_worker.engines.batched.scheduling.decode_batch import DecodeBatch
from transcription_worker.engines.protocol import Input

from tests.support.engine_cases import BEAM, GREEDY, SHORT, by_id, item, options, spoken
from tests.support.testmodel import model_path

WORDS = options(GREEDY | {"word_timestamps": True})


@pytest.fixture(scope="module")
def model() -> Any:
    return whisper.load_model(str(model_path()), device="cpu")


@pytest.fixture
def living(monkeypatch: pytest.MonkeyPatch) -> "weakref.WeakSet[DecodeBatch[Any]]":
    """Return the decode batches that hold memory."""
    found: weakref.WeakSet[DecodeBatch[Any]] = weakref.WeakSet()
    begin = DecodeBatch.__init__

    def begun(self: DecodeBatch[Any], *given: Any) -> None:
        begin(self, *given)
        found.add(self)

    monkeypatch.setattr(DecodeBatch, "__init__", begun)
    return found


def out_of_memory() -> Exception:
    error: Exception = torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 2.00 GiB.")
    return error


def recording(number: int, asked: Any = WORDS) -> Input:
    return item(str(number), spoken("en", 970 + number % 3, SHORT), asked)


def texts(model: Any, inputs: list[Input], batch: int) -> dict[str, str]:
    return {name: one.value().text for name, one in by_id(BatchedEngine(model, batch=batch).transcribe(inputs)).items()}


def refuse_while(monkeypatch: pytest.MonkeyPatch, owner: type, name: str, full: Callable[[], bool]) -> list[str]:
    """Let a method find no memory as long as `full` says so. Returns a list that has an entry for each time."""
    original, refused = getattr(owner, name), list[str]()

    def checked(*given: Any, **named: Any) -> Any:
        if full():
            refused.append(name)
            raise out_of_memory()
        return original(*given, **named)

    monkeypatch.setattr(owner, name, checked)
    return refused


def test_windows_of_one_kind_wait_for_the_memory_of_another_kind_and_no_file_fails(
    model: Any, monkeypatch: pytest.MonkeyPatch, living: "weakref.WeakSet[DecodeBatch[Any]]"
) -> None:
    kinds = [options(GREEDY, language="en"), options(BEAM | {"beam_size": 2}, language="en")]
    inputs = [recording(number, kinds[number % 2]) for number in range(8)]
    expected = texts(model, inputs, 3)
    begin, refused = DecodeBatch.__init__, []

    def begun(self: DecodeBatch[Any], runner: Any, key: Any, slots: int) -> None:
        if slots + sum(batch.slots for batch in living) > 1:
            refused.append(slots)
            raise out_of_memory()
        begin(self, runner, key, slots)

    monkeypatch.setattr(DecodeBatch, "__init__", begun)
    assert texts(model, inputs, 3) == expected
    assert 1 in refused, "even a single window found no memory"


PLACES = [(ModelRunner, "encode"), (ModelRunner, "detect_languages"), (ModelRunner, "align"), (LogMel, "window")]


@pytest.mark.parametrize(("owner", "name"), PLACES, ids=[name for _, name in PLACES])
def test_the_memory_of_idle_decode_batches_is_given_to_who_needs_it(
    model: Any,
    monkeypatch: pytest.MonkeyPatch,
    living: "weakref.WeakSet[DecodeBatch[Any]]",
    owner: type,
    name: str,
) -> None:
    inputs = [recording(number) for number in range(2)]
    refused = refuse_while(monkeypatch, owner, name, lambda: any(not batch.used_slots for batch in living))
    assert all(texts(model, inputs, 1).values())
    assert refused


@pytest.mark.parametrize(("owner", "name"), PLACES, ids=[name for _, name in PLACES])
def test_who_needs_the_memory_of_busy_decode_batches_waits_for_it(
    model: Any,
    monkeypatch: pytest.MonkeyPatch,
    living: "weakref.WeakSet[DecodeBatch[Any]]",
    owner: type,
    name: str,
) -> None:
    inputs = [recording(number) for number in range(5)]
    expected = texts(model, inputs, 2)
    refused = refuse_while(monkeypatch, owner, name, lambda: any(batch.used_slots for batch in living))
    assert texts(model, inputs, 2) == expected
    assert refused


def test_a_file_is_opened_again_where_memory_ran_out_for_a_moment(model: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    refused: list[str] = []
    refused = refuse_while(monkeypatch, LogMel, "__init__", lambda: not refused)
    inputs = [recording(0)]
    assert texts(model, inputs, 1)["0"]
    assert len(refused) == 1


def test_a_batch_has_its_size_again_once_memory_is_there_again(model: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    launch, together = DecodeBatch.launch, list[int]()

    def launched(self: DecodeBatch[Any], steps: int = 1) -> None:
        together.append(self.used_slots)
        if self.used_slots > 1 and len(together) < 40:  # somebody else uses the GPU for a while
            raise out_of_memory()
        launch(self, steps)

    monkeypatch.setattr(DecodeBatch, "launch", launched)
    inputs = [recording(number, options(GREEDY, language="en")) for number in range(30)]
    assert all(texts(model, inputs, 4).values())
    assert max(together[40:]) == 4


def test_the_steps_down_are_in_the_transcripts_and_in_the_failure_of_what_does_not_fit(
    model: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    launch = DecodeBatch.launch

    def launched(self: DecodeBatch[Any], steps: int = 1) -> None:
        if self.used_slots > 1 or any(task.owner.item.id == "7" for _, task in self.admitted):
            raise out_of_memory()
        launch(self, steps)

    monkeypatch.setattr(DecodeBatch, "launch", launched)
    inputs = [recording(number, options(GREEDY, language="en")) for number in range(8)]
    found = by_id(BatchedEngine(model, batch=4).transcribe(inputs))
    error = found.pop("7").error
    assert error is not None
    # Each scheduler, of which there are as many as cores, has its part of the windows.
    steps = r"memory ran out: windows decoded together went from [42] to (2, )?1"
    assert re.search(f"; {steps}, and one did not fit$", error.message)
    warnings = [one.value().warnings for one in found.values()]
    assert all(re.fullmatch(steps, words) for (words,) in warnings)


def test_one_window_that_fails_leaves_the_others_decoded_together(model: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    launch, together = DecodeBatch.launch, list[int]()

    def launched(self: DecodeBatch[Any], steps: int = 1) -> None:
        together.append(self.used_slots)
        if any(task.owner.item.id == "3" for _, task in self.admitted):
            together.clear()  # what counts is what comes after
            raise ValueError("a defect")
        launch(self, steps)

    monkeypatch.setattr(DecodeBatch, "launch", launched)
    inputs = [recording(number, options(GREEDY, language="en")) for number in range(12)]
    found = by_id(BatchedEngine(model, batch=4).transcribe(inputs))
    assert [name for name, outcome in found.items() if outcome.error is not None] == ["3"]
    assert max(together) == 4


def test_what_failed_for_want_of_memory_holds_none_when_less_is_tried(
    model: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    encode, activations = ModelRunner.encode, list[weakref.ref[torch.Tensor]]()

    def encode_one(self: ModelRunner, mels: list[torch.Tensor]) -> list[torch.Tensor]:
        assert all(one() is None for one in activations), "the activations of the failed batch are still there"
        hidden = torch.stack(mels)
        activations.append(weakref.ref(hidden))
        if len(mels) > 1:
            raise out_of_memory()
        return encode(self, mels)

    monkeypatch.setattr(ModelRunner, "encode", encode_one)
    assert all(texts(model, [recording(number) for number in range(3)], 3).values())
    assert len(activations) >= 4
