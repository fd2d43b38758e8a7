"""One long recording at the head of many short ones: those are written while it is transcribed, and few are open at a time."""

import threading
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field, replace
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import whisper
from transcription_api.report import Report
from transcription_worker.engines.batched.engine import PREFETCH_DEPTH, BatchedEngine
from transcription_worker.engines.batched.scheduling.task_queue import WAITING_PER_SCHEDULER
from transcription_worker.engines.protocol import Audio, Input, Outcome, Samples
from transcription_worker.local.files import find_files
from transcription_worker.pipeline.listener import PipelineListener
from transcription_worker.pipeline.local_sink import LocalSink
from transcription_worker.pipeline.local_source import LocalFile, LocalSource
from transcription_worker.pipeline.pipeline import Pipeline
from transcription_worker.pipeline.pipeline_options import PipelineOptions
from transcription_worker.pipeline.sink import Transcription

from tests.support.instant_engine import InstantEngine, InstantLoader
from tests.support.local_files import plan
from tests.support.speech import SAMPLE_RATE, speak, write_wav
from tests.support.testmodel import model_path

# So few windows are all one scheduler's, whatever the machine.
SHORT, BATCH = 15, 4
LONG_SECONDS = 120.0
QUICK = ("--temperature", "0", "--temperature-increment-on-fallback", "None", "--beam-size", "1", "--language", "en")


class CountedEngine(InstantEngine):
    """The batched engine, and how many inputs it has open at most."""

    def __init__(self, engine: BatchedEngine) -> None:
        self._engine, self._lock = engine, threading.Lock()
        self.open = self.most = 0

    def transcribe(self, inputs: Iterable[Input]) -> Iterator[Outcome]:
        return self._engine.transcribe(replace(item, open=partial(self._opened, item)) for item in inputs)

    def _opened(self, item: Input) -> Audio:
        audio = item.open()
        self.count(1)
        return CountedAudio(audio, self)

    def count(self, change: int) -> None:
        with self._lock:
            self.open += change
            self.most = max(self.most, self.open)


@dataclass
class CountedAudio:
    """An Audio that tells the engine when it is closed."""

    audio: Audio
    engine: CountedEngine

    @property
    def count(self) -> int:
        return self.audio.count

    def read(self, start: int, count: int) -> Samples:
        return self.audio.read(start, count)

    def close(self) -> None:
        self.audio.close()
        self.engine.count(-1)


@dataclass
class Written(PipelineListener[LocalFile]):
    """How much of the long file was transcribed when each file was written."""

    long_seconds: float = 0.0
    names: list[str] = field(default_factory=list)
    at: list[float] = field(default_factory=list)

    def track_advanced(self, number: int, track: int, seconds: float) -> None:
        if number == 0:
            self.long_seconds = seconds

    def input_written(self, number: int, item: LocalFile, transcription: Transcription, report: Report) -> None:
        self.names.append(item.path.stem)
        self.at.append(self.long_seconds)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    folder = tmp_path / "media"
    folder.mkdir()
    part = speak("en", 961, 30)[0]
    write_wav(folder / "00-long.wav", np.tile(part, 5)[: int(LONG_SECONDS * SAMPLE_RATE)])
    for number in range(SHORT):
        write_wav(folder / f"{number + 1:02}.wav", part[: 3 * SAMPLE_RATE])
    return folder


def test_short_recordings_are_written_while_a_long_one_before_them_is_transcribed(folder: Path, tmp_path: Path) -> None:
    scratch = tmp_path / "scratch"
    scratch.mkdir()
    asked = plan(folder, "-o", tmp_path / "out", "-f", "txt", *QUICK)
    model: Any = whisper.load_model(str(model_path()), device="cpu")
    engine, written = CountedEngine(BatchedEngine(model, batch=BATCH)), Written()
    sink = LocalSink(asked.formats, asked.subtitles, asked.options.quality.policy)
    settings = PipelineOptions(asked.options, asked.audio, scratch)
    Pipeline(LocalSource(find_files(asked).files), sink, InstantLoader(asked.options, engine), settings, written).run()
    assert written.names[-1] == "00-long"
    assert len(written.names) == SHORT + 1
    assert max(written.at[:-1]) < LONG_SECONDS * 0.75
    assert engine.open == 0
    assert engine.most <= BATCH + WAITING_PER_SCHEDULER + PREFETCH_DEPTH < SHORT
