"""Inputs wait for descriptors, processes and threads, and fail for the want of them only after a while, and never for good."""

import contextlib
import errno
import os
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from transcription_api import reasons
from transcription_api.report import Report
from transcription_api.spec import AudioSelection, Format, QualityPolicy, Subtitles
from transcription_worker import retry
from transcription_worker.errors import WorkerError
from transcription_worker.pipeline.listener import PipelineListener
from transcription_worker.pipeline.local_sink import LocalSink
from transcription_worker.pipeline.local_source import LocalFile, LocalSource
from transcription_worker.pipeline.pipeline import Pipeline
from transcription_worker.pipeline.pipeline_options import PipelineOptions
from transcription_worker.pipeline.sink import Transcription
from transcription_worker.pipeline.source import InputVersion

from tests.support.fake_engine import OPTIONS, AtOnce
from tests.support.instant_engine import InstantLoader
from tests.support.speech import SAMPLE_RATE, write_wav

SOON = 60.0  # seconds
SHORT_OF = [errno.EMFILE, errno.ENFILE, errno.EAGAIN]


class Refusing(LocalSource):
    """Files that cannot be opened the first times for want of something."""

    def __init__(self, files: list[LocalFile], error: OSError, times: int) -> None:
        super().__init__(files)
        self.error, self.left = error, times

    @contextlib.contextmanager
    def fetch(self, item: LocalFile, version: InputVersion, folder: Path) -> Iterator[Path]:
        self.left -= 1
        if self.left >= 0:
            raise self.error
        with super().fetch(item, version, folder) as path:
            yield path


class RefusingOnce(LocalSink):
    """Cannot write the first time."""

    error: OSError | None = None

    def write(self, item: LocalFile, version: InputVersion, transcription: Transcription) -> Report:
        error, self.error = self.error, None
        if error is not None:
            raise error
        return super().write(item, version, transcription)


class Outcomes(PipelineListener[LocalFile]):
    def __init__(self) -> None:
        self.written: list[str] = []
        self.failures: list[WorkerError] = []

    def input_written(self, number: int, item: LocalFile, transcription: Transcription, report: Report) -> None:
        self.written.append(item.stem)

    def input_failed(self, number: int, item: LocalFile, error: WorkerError) -> None:
        self.failures.append(error)


@pytest.fixture
def files(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> list[LocalFile]:
    monkeypatch.setattr(retry, "FIRST_PAUSE_SECONDS", 0.01)
    write_wav(tmp_path / "audio.wav", np.zeros(SAMPLE_RATE // 100, np.float32))
    return [LocalFile(tmp_path / "audio.wav", tmp_path / "out", str(number), 0) for number in range(6)]


def run(source: LocalSource, scratch: Path, sink: LocalSink | None = None) -> Outcomes:
    listener = Outcomes()
    writes = sink or LocalSink([Format.TXT], Subtitles(), QualityPolicy.WARN)
    options = PipelineOptions(OPTIONS, AudioSelection(), scratch)
    one: Pipeline[Any] = Pipeline(source, writes, InstantLoader(OPTIONS, AtOnce()), options, listener)
    one.run()
    return listener


@pytest.mark.parametrize("number", SHORT_OF, ids=errno.errorcode.get)
def test_files_that_cannot_be_opened_for_a_moment_are_opened_a_moment_later(
    files: list[LocalFile], tmp_path: Path, number: int
) -> None:
    found = run(Refusing(files, OSError(number, os.strerror(number)), times=5), tmp_path)
    assert not found.failures
    assert len(found.written) == len(files)


@pytest.mark.parametrize("number", SHORT_OF, ids=errno.errorcode.get)
def test_results_that_cannot_be_written_for_a_moment_are_written_a_moment_later(
    files: list[LocalFile], tmp_path: Path, number: int
) -> None:
    sink = RefusingOnce([Format.TXT], Subtitles(), QualityPolicy.WARN)
    sink.error = OSError(number, os.strerror(number))
    found = run(LocalSource(files), tmp_path, sink)
    assert not found.failures
    assert len(list((tmp_path / "out").iterdir())) == len(files)


@pytest.mark.parametrize(
    ("error", "reason"),
    [
        (OSError(errno.EMFILE, "Too many open files"), reasons.RESOURCES_EXHAUSTED),
        (OSError(errno.ENOMEM, "Cannot allocate memory"), reasons.OUT_OF_MEMORY),
        (OSError(errno.ENOSPC, "No space left on device"), reasons.NO_SPACE_LEFT),
    ],
)
def test_what_stays_short_fails_files_by_name_and_not_for_good(
    files: list[LocalFile], tmp_path: Path, monkeypatch: pytest.MonkeyPatch, error: OSError, reason: reasons.Reason
) -> None:
    monkeypatch.setenv(retry.ENV_OUTAGE_SECONDS, "0.05")
    found = run(Refusing(files[:2], error, times=10_000), tmp_path)
    assert [failure.reason for failure in found.failures] == [reason] * 2
    assert not reason.permanent


def test_a_scratch_folder_that_cannot_be_written_to_is_told_as_that(files: list[LocalFile], tmp_path: Path) -> None:
    scratch = tmp_path / "scratch"
    error = OSError(errno.EROFS, "Read-only file system", str(scratch / "samples-x.s16le"))
    found = run(Refusing(files[:1], error, times=10_000), scratch)
    assert [failure.reason for failure in found.failures] == [reasons.SCRATCH_NOT_WRITABLE]
    assert "Read-only file system" in found.failures[0].message
    assert not reasons.SCRATCH_NOT_WRITABLE.permanent


def test_a_run_whose_threads_cannot_be_started_ends_instead_of_waiting_for_ever(
    files: list[LocalFile], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    raised: list[WorkerError] = []

    def attempt() -> None:
        try:
            run(LocalSource(files), tmp_path)
        except WorkerError as error:
            raised.append(error)

    running = threading.Thread(target=attempt, daemon=True)
    start = threading.Thread.start

    def refused(self: threading.Thread) -> None:
        if self is running:
            return start(self)
        raise RuntimeError("can't start new thread")

    monkeypatch.setattr(threading.Thread, "start", refused)
    running.start()
    running.join(SOON)
    assert not running.is_alive()
    assert [error.reason for error in raised] == [reasons.RESOURCES_EXHAUSTED]
