"""No input waits for another that takes long to prepare."""

import contextlib
import threading
import time
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from transcription_api import reasons
from transcription_api.report import Report
from transcription_api.spec import AudioSelection, Format, QualityPolicy, Subtitles
from transcription_worker.engines.protocol import Input, Transcript
from transcription_worker.errors import WorkerError
from transcription_worker.pipeline.listener import PipelineListener
from transcription_worker.pipeline.local_sink import LocalSink
from transcription_worker.pipeline.local_source import LocalFile, LocalSource
from transcription_worker.pipeline.pipeline import Pipeline
from transcription_worker.pipeline.pipeline_options import PipelineOptions
from transcription_worker.pipeline.sink import Transcription
from transcription_worker.pipeline.source import InputVersion

from tests.support.fake_engine import OPTIONS, AtOnce, say_length
from tests.support.instant_engine import InstantEngine, InstantLoader
from tests.support.media import make
from tests.support.small_disk import small_disk
from tests.support.speech import SAMPLE_RATE, write_wav

SOON = 60.0  # seconds: the first result that is written imports torch


class LongHead(LocalSource):
    """Files of which the first takes until it is let go to be fetched."""

    def __init__(self, files: list[LocalFile]) -> None:
        super().__init__(files)
        self._first, self.let_go = files[0], threading.Event()

    @contextlib.contextmanager
    def fetch(self, item: LocalFile, version: InputVersion, folder: Path) -> Iterator[Path]:
        if item is self._first:
            assert self.let_go.wait(SOON)
        with super().fetch(item, version, folder) as path:
            yield path


class BreaksOff(LongHead):
    """Lists three files and then fails to list more."""

    def inputs(self) -> Iterable[LocalFile]:  # type: ignore[override]
        yield from list(super().inputs())[:3]
        raise WorkerError(reasons.ACCESS_DENIED, "no more may be listed")


class Written(PipelineListener[LocalFile]):
    """Records the inputs in the order in which they are written, and lets the first go after the last other one."""

    def __init__(self, source: LongHead, others: int) -> None:
        self._source, self._others = source, others
        self.names: list[str] = []

    def input_written(self, number: int, item: LocalFile, transcription: Transcription, report: Report) -> None:
        self.names.append(item.stem)
        if len(self.names) == self._others:
            self._source.let_go.set()


def files(folder: Path, count: int) -> list[LocalFile]:
    path = folder / "audio.wav"
    write_wav(path, np.zeros(SAMPLE_RATE // 100, np.float32))
    return [LocalFile(path, folder / "out", f"{number}", 0) for number in range(count)]


def pipeline(source: LongHead, listener: Any, folder: Path, engine: InstantEngine | None = None) -> Pipeline[Any]:
    sink = LocalSink([Format.TXT], Subtitles(), QualityPolicy.WARN)
    return Pipeline(
        source,
        sink,
        InstantLoader(OPTIONS, engine or AtOnce()),
        PipelineOptions(OPTIONS, AudioSelection(), folder),
        listener,
    )


def test_the_model_is_loaded_and_others_are_transcribed_while_a_long_file_at_the_head_is_decoded(
    tmp_path: Path,
) -> None:
    source = LongHead(files(tmp_path, 3))
    listener = Written(source, others=2)
    pipeline(source, listener, tmp_path).run()
    assert sorted(listener.names[:2]) == ["1", "2"]
    assert listener.names[2:] == ["0"]


def test_the_input_that_the_engine_opens_next_keeps_its_samples_though_one_before_it_lacks_space(
    tmp_path: Path,
) -> None:
    recording = make(tmp_path / "a.flac", seconds=10)  # 320 kB of samples
    source = LongHead([LocalFile(recording, tmp_path / "out", f"{number}", 0) for number in range(2)])

    def hesitate(item: Input) -> Transcript:
        source.let_go.set()
        time.sleep(1.0)  # until the disk has long been full
        return say_length(item)

    with small_disk(tmp_path / "disk", 350) as disk:
        listener = Written(source, others=2)
        run = threading.Thread(target=pipeline(source, listener, disk, AtOnce(hesitate)).run, daemon=True)
        run.start()
        run.join(SOON)
        assert not run.is_alive(), "the engine waits for an input that waits for what the engine opens after it"
    assert listener.names == ["1", "0"]


def test_what_was_listed_before_the_listing_broke_off_is_transcribed(tmp_path: Path) -> None:
    source = BreaksOff(files(tmp_path, 3))
    source.let_go.set()
    listener = Written(source, others=3)
    with pytest.raises(WorkerError, match="no more may be listed"):
        pipeline(source, listener, tmp_path).run()
    assert listener.names
