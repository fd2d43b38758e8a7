"""A pipeline that is to end begins with no further input, and finishes what is nearly done."""

import math
import threading
import time
from collections.abc import Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor, as_completed
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from transcription_api.report import Report
from transcription_api.spec import AudioSelection, Format, QualityPolicy, Subtitles
from transcription_worker.engines.formats import writers
from transcription_worker.engines.protocol import InMemory, Input, Outcome
from transcription_worker.pipeline.input_state import InputState, Prepared
from transcription_worker.pipeline.listener import PipelineListener
from transcription_worker.pipeline.local_sink import LocalSink
from transcription_worker.pipeline.local_source import LocalFile, LocalSource
from transcription_worker.pipeline.pipeline import Pipeline
from transcription_worker.pipeline.pipeline_options import PipelineOptions
from transcription_worker.pipeline.sink import Transcription
from transcription_worker.pipeline.source import InputVersion
from transcription_worker.pipeline.tracks import Track

from tests.support.fake_engine import OPTIONS
from tests.support.instant_engine import InstantEngine, InstantLoader
from tests.support.speech import SAMPLE_RATE, write_wav

assert writers  # it imports torch, which takes seconds: here, and not while the first result is written
SECONDS = 40
STEPS = 10


class Paced(InstantEngine):
    """Two inputs at a time, each in ten steps that take so many seconds. `hurry` ends the pauses."""

    def __init__(self, *pauses: float) -> None:
        self._pauses = pauses
        self.hurry, self.begun = threading.Event(), threading.Barrier(len(pauses) + 1, timeout=60.0)

    def transcribe(self, inputs: Iterable[Input]) -> Iterator[Outcome]:
        """Take further inputs once the first ones are done."""
        listed = iter(inputs)
        with ThreadPoolExecutor(len(self._pauses)) as threads:
            first = [threads.submit(self._slowly, next(listed), pause) for pause in self._pauses]
            for done in as_completed(first):
                yield done.result()
            yield from map(self.transcribe_file, listed)

    def _slowly(self, item: Input, pause: float) -> Outcome:
        outcome = self.transcribe_file(item)
        for step in range(1, STEPS):
            item.on_progress(step * SECONDS / STEPS)
            if step == 1:
                self.begun.wait()
            self.hurry.wait(pause)
        return outcome


class Written(PipelineListener[LocalFile]):
    """Records the names of the inputs that are written."""

    def __init__(self) -> None:
        self.names: list[str] = []

    def input_written(self, number: int, item: LocalFile, transcription: Transcription, report: Report) -> None:
        self.names.append(item.stem)


@pytest.mark.parametrize(
    ("pauses", "finished"), [((60.0, 0.02), 1), ((60.0, 60.0), 0)], ids=["one is nearly done", "none is"]
)
def test_what_is_nearly_done_is_finished_and_nothing_else_begun(
    tmp_path: Path, pauses: tuple[float, float], finished: int
) -> None:
    path, listener, engine = tmp_path / "a.wav", Written(), Paced(*pauses)
    write_wav(path, np.zeros(SAMPLE_RATE * SECONDS, np.float32))
    inputs = [LocalFile(path, tmp_path / "out", f"{number}", 0) for number in range(6)]
    pipeline = Pipeline[Any](
        LocalSource(inputs),
        LocalSink([Format.TXT], Subtitles(), QualityPolicy.WARN),
        InstantLoader(OPTIONS, engine),
        PipelineOptions(OPTIONS, AudioSelection(), tmp_path),
        listener,
    )
    thread = threading.Thread(target=pipeline.run)
    thread.start()
    engine.begun.wait()
    time.sleep(0.7)  # an input's speed so far tells when it will be done
    began = time.monotonic()
    pipeline.finish(began + 5.0)
    assert len(listener.names) == finished  # whichever were prepared first
    assert time.monotonic() - began < 4.5
    engine.hurry.set()
    thread.join()
    assert len(listener.names) == 2


def state(seconds: float, done: float, resumed: float = 0.0) -> InputState[Any]:
    """Return an input that the engine opened at 100 s."""
    one: InputState[Any] = InputState(0, None)
    audio = InMemory(np.zeros(0, np.float32))
    one.prepared.set_result(Prepared(InputVersion(), (Track(audio),), (seconds,)))
    one.take(0, 100.0)
    one.advanced[0] = done
    if resumed:
        one.resumed[0] = resumed
    return one


@pytest.mark.parametrize(
    ("seconds", "done", "resumed", "expected"),
    [
        pytest.param(600.0, 300.0, 0.0, 10.0, id="half of it is done"),
        pytest.param(600.0, 300.0, 200.0, 30.0, id="a worker before did most of that"),
        pytest.param(600.0, 300.0, 300.0, math.inf, id="a worker before did all of that"),
        pytest.param(600.0, 0.0, 0.0, math.inf, id="nobody knows yet"),
        pytest.param(30.0, 0.0, 0.0, 0.0, id="it is one window"),
        pytest.param(600.0, 600.0, 0.0, 0.0, id="all of it is done"),
    ],
)
def test_the_time_left_of_an_input_is_that_at_its_own_speed(
    seconds: float, done: float, resumed: float, expected: float
) -> None:
    assert state(seconds, done, resumed).expected_seconds(110.0) == expected


def test_an_input_that_is_not_prepared_is_not_waited_for() -> None:
    unprepared: InputState[Any] = InputState(0, None)
    assert unprepared.expected_seconds(1.0) == math.inf
