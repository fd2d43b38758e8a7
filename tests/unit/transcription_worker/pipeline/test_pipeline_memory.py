"""The memory of a run does not grow with the number of its inputs."""

import gc
import statistics
import threading
import time
import tracemalloc
from collections.abc import Sequence
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from transcription_api import reasons
from transcription_api.report import Report
from transcription_api.spec import AudioSelection, Format, QualityPolicy, Subtitles
from transcription_worker.engines.formats import writers  # noqa: F401 - imported here, so that torch is not weighed
from transcription_worker.engines.protocol import Input, Transcript
from transcription_worker.errors import WorkerError
from transcription_worker.job.transcription import JobListener
from transcription_worker.pipeline.input_state import InputState
from transcription_worker.pipeline.local_sink import LocalSink
from transcription_worker.pipeline.local_source import LocalFile, LocalSource
from transcription_worker.pipeline.pipeline import Pipeline
from transcription_worker.pipeline.pipeline_options import PipelineOptions
from transcription_worker.pipeline.sink import Transcription
from transcription_worker.pipeline.source import InputVersion
from transcription_worker.pipeline.write_backlog import WriteBacklog, transcript_bytes
from transcription_worker.progress import ProgressTracker

from tests.support.fake_engine import OPTIONS, AtOnce, say_length, segment
from tests.support.instant_engine import InstantLoader
from tests.support.speech import SAMPLE_RATE, write_wav

INPUTS = 2000
WEIGHED_EACH = 500  # inputs; after the first of them every cache is filled
MOST_BYTES_MORE = 1 << 20  # for 500 more inputs, of which 200 fail: the words of a failure are kept
LIVING = 50  # inputs that are under way, at most
TRANSCRIPT = 10 << 10  # characters
FRAME = 200 << 10  # bytes that a failing function holds
SOON = 60.0  # seconds


def files(folder: Path, count: int) -> list[LocalFile]:
    """Return inputs of one small recording; every tenth one is missing."""
    path = folder / "audio.wav"
    write_wav(path, np.zeros(SAMPLE_RATE // 100, np.float32))
    missing = folder / "missing.wav"
    return [LocalFile(missing if n % 10 == 5 else path, folder / "out", f"{n}", 0) for n in range(count)]


def pipeline(inputs: Sequence[LocalFile], sink: LocalSink, engine: Any, listener: Any, folder: Path) -> Pipeline[Any]:
    options = PipelineOptions(OPTIONS, AudioSelection(), folder)
    return Pipeline(LocalSource(inputs), sink, InstantLoader(OPTIONS, engine), options, listener)


class Forgetful(LocalSink):
    """Writes the results of an input to the names of the first: two thousand files would take longer than all else."""

    def write(self, item: LocalFile, version: InputVersion, transcription: Transcription) -> Report:
        return super().write(LocalFile(item.path, item.folder, "same", 0), version, transcription)


def sink(kind: type[LocalSink] = LocalSink) -> LocalSink:
    return kind([Format.TXT], Subtitles(), QualityPolicy.WARN)


class Weighing(JobListener):
    """Keeps failures, as the local command does, and weighs the memory each time that some inputs have ended."""

    def __init__(self) -> None:
        super().__init__(ProgressTracker(), {})
        self.failures: list[WorkerError] = []
        self.ended = self.living = 0
        self.weights: list[int] = []  # bytes
        self._lock = threading.Lock()

    def input_written(self, number: int, item: Any, transcription: Transcription, report: Report) -> None:
        super().input_written(number, item, transcription, report)
        self._count()

    def input_failed(self, number: int, item: Any, error: WorkerError) -> None:
        super().input_failed(number, item, error)
        self.failures.append(error)
        self._count()

    def _count(self) -> None:
        with self._lock:
            self.ended += 1
            if self.ended % WEIGHED_EACH == 0 and self.ended < INPUTS:
                self.weights.append(weigh())
            if self.ended == INPUTS - 1:
                self.living = sum(type(one) is InputState for one in gc.get_objects())


def weigh() -> int:
    gc.collect()
    return tracemalloc.get_traced_memory()[0]


def large_or_failed(item: Input) -> Transcript:
    """Give a large transcript, or fail in a function that holds much memory: every third time."""
    said = say_length(item)
    if int(item.id.split(".")[0]) % 3 == 0:
        fail_with(bytearray(FRAME))
    return Transcript("x" * TRANSCRIPT, said.segments, "en", None, said.audio_seconds)


def fail_with(held: bytearray) -> None:
    raise WorkerError(reasons.OUT_OF_MEMORY, "the pod's memory is not enough") from MemoryError(len(held))


def test_two_thousand_inputs_take_no_more_memory_than_five_hundred(tmp_path: Path) -> None:
    """What is kept of inputs shows at the end and in each part of the run.

    Texts that wait to be written show in some parts alone, where the disk is slow. So does a table of the interpreter that is
    enlarged: that of interned strings takes 7.7 MB at once in a process that has imported as much as the tests have.
    """
    inputs, listener = files(tmp_path, INPUTS), Weighing()
    run = pipeline(inputs, sink(Forgetful), AtOnce(large_or_failed), listener, tmp_path)
    tracemalloc.start()
    try:
        run.run()
        weights = [*listener.weights, weigh()]
    finally:
        tracemalloc.stop()
    assert listener.ended == INPUTS
    more = [after - before for before, after in pairwise(weights)]
    assert len(more) == INPUTS // WEIGHED_EACH - 1
    kept = min(weights[-1] - weights[0], statistics.median(more))
    assert kept < MOST_BYTES_MORE, f"{[one >> 10 for one in more]} KiB more"
    assert listener.living < LIVING


def test_a_failure_keeps_its_words_and_none_of_the_memory_of_where_it_was_raised(tmp_path: Path) -> None:
    listener = Weighing()
    pipeline(files(tmp_path, 6), sink(), AtOnce(large_or_failed), listener, tmp_path).run()
    found = listener.failures
    assert {error.reason for error in found} == {reasons.OUT_OF_MEMORY, reasons.UNSUPPORTED_MEDIA}
    assert all(error.message for error in found)
    assert all(held is None for error in found for held in (error.__traceback__, error.__cause__, error.__context__))


def test_transcripts_do_not_pile_up_where_writing_is_slower_than_transcribing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("transcription_worker.pipeline.write_backlog.BACKLOG_BYTES", 10 * TRANSCRIPT)
    go_on, made = threading.Event(), list[str]()

    class Slow(LocalSink):
        def write(self, item: LocalFile, version: InputVersion, transcription: Transcription) -> Report:
            go_on.wait(SOON)
            return super().write(item, version, transcription)

    def large(item: Input) -> Transcript:
        made.append(item.id)
        said = say_length(item)
        return Transcript("x" * TRANSCRIPT, said.segments, "en", None, said.audio_seconds)

    path = files(tmp_path, 1)[0].path
    inputs = [LocalFile(path, tmp_path / "out", f"{number}", 0) for number in range(40)]
    run = threading.Thread(target=pipeline(inputs, sink(Slow), AtOnce(large), Weighing(), tmp_path).run)
    run.start()
    time.sleep(0.5)
    waiting = len(made)
    go_on.set()
    run.join(SOON)
    assert waiting <= 11
    assert len(made) == 40
    assert len(list((tmp_path / "out").iterdir())) == 40


def test_a_transcript_larger_than_all_that_may_wait_is_let_through_on_its_own() -> None:
    backlog = WriteBacklog(100)
    backlog.enter(1000)
    entered = threading.Event()

    def enter_later() -> None:
        backlog.enter(1)
        entered.set()

    later = threading.Thread(target=enter_later)
    later.start()
    assert not entered.wait(0.05)
    backlog.leave(1000)
    assert entered.wait(SOON)
    later.join()


@pytest.mark.parametrize("words", [0, 12])
def test_the_size_of_a_transcript_is_estimated_within_a_factor_of_two(words: int) -> None:
    def make() -> Transcript:
        segments = [segment(f" {number} and some words of a sentence", 2.5 + number, 20) for number in range(2000)]
        for number, one in enumerate(segments):
            if words:
                one["words"] = [
                    {"word": f" w{n}", "start": number + n / 7, "end": number + n / 5, "probability": n / 13}
                    for n in range(words)
                ]
        return Transcript("".join(one["text"] for one in segments), segments, "en", None, 60.0)

    tracemalloc.start()
    try:
        before = weigh()
        transcript = make()
        real = weigh() - before
    finally:
        tracemalloc.stop()
    assert 0.5 < transcript_bytes(transcript) / real < 2
