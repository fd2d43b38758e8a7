"""Inputs of which the channels are transcribed apart, where each may say so for itself."""

import itertools
import tempfile
import threading
import wave
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

import pytest
from transcription_api import reasons
from transcription_api.spec import AudioSelection, Channel, Format, QualityPolicy, Subtitles
from transcription_worker.engines.protocol import SAMPLE_RATE, Input, Outcome
from transcription_worker.errors import WorkerError
from transcription_worker.media.audio import Media
from transcription_worker.media.pcm_file import PcmFile
from transcription_worker.pipeline import pipeline
from transcription_worker.pipeline.listener import PipelineListener
from transcription_worker.pipeline.local_sink import LocalSink
from transcription_worker.pipeline.local_source import LocalFile, LocalSource
from transcription_worker.pipeline.pipeline import Pipeline
from transcription_worker.pipeline.pipeline_options import PipelineOptions
from transcription_worker.pipeline.tracks import Track

from tests.support.fake_engine import OPTIONS
from tests.support.instant_engine import InstantEngine, InstantLoader

SOON = 10.0  # seconds


class ThreeAtATime(InstantEngine):
    """Takes three inputs before it opens the first of them, as an engine with several slots does."""

    def __init__(self) -> None:
        self.took = threading.Event()

    def transcribe(self, inputs: Iterable[Input]) -> Iterator[Outcome]:
        """Yield the outcomes in the inputs' order."""
        left = iter(inputs)
        while taken := list(itertools.islice(left, 3)):
            self.took.set()
            yield from map(self.transcribe_file, taken)


class SmallDisk:
    """Stands in for decoding: there is room for the samples of one input beside the first, which takes none."""

    def __init__(self, folder: Path, engine: ThreeAtATime) -> None:
        self._folder, self._engine = folder, engine
        self._held: list[Any] = []
        self._decoded = threading.Event()

    def open_tracks(self, path: Path, *_: object) -> tuple[tuple[Track, ...], Media]:
        """Decode the input of that name."""
        if path.name == "split.wav":
            assert self._engine.took.wait(SOON)
            self._held = [self._samples(), self._samples()]
            tracks = tuple(Track(PcmFile(file, 0, SAMPLE_RATE), number) for number, file in enumerate(self._held))
            self._decoded.set()
            return tracks, Media(tuple(track.audio for track in tracks))  # type: ignore[misc]  # a PcmFile each
        if path.name == "last.wav":
            assert self._decoded.wait(SOON)
            if not all(file.closed for file in self._held):
                raise WorkerError(reasons.NO_SPACE_LEFT, "no space left")
        audio = PcmFile(self._samples(), 0, SAMPLE_RATE)
        return (Track(audio),), Media((audio,))

    def _samples(self) -> Any:
        file = tempfile.TemporaryFile(dir=self._folder, buffering=0)  # noqa: SIM115 - the pipeline closes it
        file.write(bytes(2 * SAMPLE_RATE))
        return file


class Failures(PipelineListener[LocalFile]):
    def __init__(self) -> None:
        self.found: dict[str, str] = {}

    def input_failed(self, number: int, item: LocalFile, error: WorkerError) -> None:
        self.found[item.stem] = error.reason.name


def test_a_full_disk_stops_no_run_in_which_one_input_alone_is_split(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    engine, failures = ThreeAtATime(), Failures()
    monkeypatch.setattr(pipeline, "open_tracks", SmallDisk(tmp_path, engine).open_tracks)
    files = [LocalFile(tmp_path / f"{name}.wav", tmp_path / "out", name, 1) for name in ("first", "split", "last")]
    for file in files:
        file.path.write_bytes(b"\0")

    def of_input(item: LocalFile) -> tuple[Any, AudioSelection]:
        return OPTIONS, AudioSelection(channel=Channel.SPLIT if item.stem == "split" else Channel.MIX)

    options = PipelineOptions(OPTIONS, AudioSelection(), tmp_path, of_input)
    sink = LocalSink([Format.TXT], Subtitles(), QualityPolicy.WARN)
    run = Pipeline(LocalSource(files), sink, InstantLoader(OPTIONS, engine), options, failures)
    thread = threading.Thread(target=run.run, daemon=True)
    thread.start()
    thread.join(SOON)
    stuck = thread.is_alive()
    run._preparation.space.close()  # a thread that waits would hold up the end of the tests
    thread.join()
    assert not stuck
    assert failures.found == {"last": "NoSpaceLeft"}
    assert sorted(path.name for path in (tmp_path / "out").iterdir()) == [
        "first.txt",
        "split.ch0.txt",
        "split.ch1.txt",
    ]


def write_stereo(path: Path) -> None:
    with wave.open(str(path), "wb") as file:
        file.setparams((2, 2, SAMPLE_RATE, 0, "NONE", ""))
        file.writeframes(bytes(4 * SAMPLE_RATE))


class BreakingOff(InstantEngine):
    """Ends with an error once it has taken all inputs, before it opens one; the second time it goes on."""

    def __init__(self) -> None:
        self.broken = False

    def transcribe(self, inputs: Iterable[Input]) -> Iterator[Outcome]:
        """Yield the outcomes in the inputs' order."""
        taken = list(inputs)
        if not self.broken:
            self.broken = True
            raise RuntimeError("broke off")
        yield from map(self.transcribe_file, taken)


def test_an_engine_that_breaks_off_gets_every_channel_again(tmp_path: Path) -> None:
    for name in ("call", "other"):
        write_stereo(tmp_path / f"{name}.wav")
    files = [LocalFile(tmp_path / f"{name}.wav", tmp_path / "out", name, 1) for name in ("call", "other")]
    options = PipelineOptions(OPTIONS, AudioSelection(channel=Channel.SPLIT), tmp_path)
    sink, failures = LocalSink([Format.TXT], Subtitles(), QualityPolicy.WARN), Failures()
    Pipeline(LocalSource(files), sink, InstantLoader(OPTIONS, BreakingOff()), options, failures).run()
    assert failures.found == {}
    names = [f"{name}.ch{channel}.txt" for name in ("call", "other") for channel in (0, 1)]
    assert sorted(path.name for path in (tmp_path / "out").iterdir()) == names
