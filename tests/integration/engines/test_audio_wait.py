"""The batched engine tells a slow front end from a slow model."""

import threading
import time
from collections.abc import Iterator
from typing import Any

import pytest
import torch
import whisper
from transcription_api.spec import Precision
from transcription_worker.engines.batched.engine import BatchedEngine
from transcription_worker.engines.protocol import Audio, InMemory, Input

from tests.support.engine_cases import GREEDY, options, spoken
from tests.support.testmodel import model_path

FILES, BATCH = 6, 4
SLOW_SECONDS = 0.2


@pytest.fixture(scope="module")
def model() -> Any:
    return whisper.load_model(str(model_path()), device="cpu")


@pytest.fixture
def engine(model: Any, monkeypatch: pytest.MonkeyPatch) -> Iterator[BatchedEngine]:
    """Return an engine with one scheduler, as on a GPU, whose kernels are compiled."""
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    made = BatchedEngine(model, Precision.FLOAT32, BATCH)
    list(made.transcribe(inputs(1, 0.0)))
    made.audio_wait.seconds = made.audio_wait.waited = 0.0
    yield made
    torch.set_num_threads(threads)


def inputs(count: int, seconds: float, turn: threading.Semaphore | None = None) -> list[Input]:
    """Return short recordings that take so long to open, from their turn on if they have one."""
    samples = spoken("en", 970, 4.0)

    def open_audio() -> Audio:
        if turn is not None:
            turn.acquire()
        time.sleep(seconds)
        return InMemory(samples)

    return [Input(str(number), open_audio, options(GREEDY, "en")) for number in range(count)]


def test_an_engine_whose_audio_comes_late_has_waited(engine: BatchedEngine, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("transcription_worker.engines.batched.scheduling.prefetch.THREADS", 1)
    turn = threading.Semaphore(
        1
    )  # the next file is opened once the one before is done, so that nothing else is there to do
    for _ in engine.transcribe(inputs(FILES, SLOW_SECONDS, turn)):
        turn.release()
    assert engine.audio_wait.waited >= FILES * SLOW_SECONDS * 0.9


def test_an_engine_that_is_slower_than_its_audio_has_not(
    engine: BatchedEngine, monkeypatch: pytest.MonkeyPatch
) -> None:
    encode = engine._runner.encode

    def slowly(mels: list[torch.Tensor]) -> list[torch.Tensor]:
        time.sleep(3 * SLOW_SECONDS)  # so that a busy machine may take its time to open what is there
        return encode(mels)

    monkeypatch.setattr(engine._runner, "encode", slowly)
    assert len(list(engine.transcribe(inputs(FILES, 0.0)))) == FILES
    wait = engine.audio_wait
    assert wait.seconds > 3 * SLOW_SECONDS
    assert wait.waited / wait.seconds < 0.5
