"""What is said of a GPU that waits for audio, and when."""

from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from transcription_api.report import DeviceUsed, ModelUsed
from transcription_api.spec import AudioSelection, Format, QualityPolicy, Subtitles
from transcription_worker.engines.audio_wait import AudioWait
from transcription_worker.engines.protocol import Input, Outcome
from transcription_worker.pipeline.ahead_budget import prepared_ahead
from transcription_worker.pipeline.audio_wait import audio_wait_warning, share_of
from transcription_worker.pipeline.engine_loader import LoadedEngine
from transcription_worker.pipeline.listener import PipelineListener
from transcription_worker.pipeline.local_sink import LocalSink
from transcription_worker.pipeline.local_source import LocalFile, LocalSource
from transcription_worker.pipeline.pipeline import Pipeline
from transcription_worker.pipeline.pipeline_options import PipelineOptions
from transcription_worker.pipeline.sink import EngineUsed

from tests.support.fake_engine import OPTIONS, AtOnce
from tests.support.instant_engine import InstantLoader
from tests.support.speech import SAMPLE_RATE, write_wav


@pytest.mark.parametrize(
    ("waited", "seconds", "share"),
    [(0.0, 0.0, None), (0.0, 10.0, 0.0), (1.0, 3.0, 0.333), (11.0, 10.0, 1.0)],
)
def test_the_share_is_from_0_to_1_and_none_without_time(waited: float, seconds: float, share: float | None) -> None:
    assert share_of(waited, seconds) == share


def test_a_wait_of_more_than_a_fifth_is_warned_of_with_what_to_do() -> None:
    warning = audio_wait_warning(300.0, 1000.0, "more CPU")
    assert warning == "the GPU waited for audio for 30% of its time, since decoding was too slow: more CPU"


@pytest.mark.parametrize(("waited", "seconds"), [(200.0, 1000.0), (30.0, 59.0), (0.0, 0.0)])
def test_a_short_wait_and_a_short_run_are_not_warned_of(waited: float, seconds: float) -> None:
    assert audio_wait_warning(waited, seconds, "more CPU") is None


class Waits(AtOnce):
    """An engine that waited a quarter of four seconds by its first outcome."""

    def __init__(self) -> None:
        super().__init__()
        self.audio_wait = AudioWait(iter((0.0, 4.0)).__next__)

    def transcribe(self, inputs: Iterable[Input]) -> Iterator[Outcome]:
        with self.audio_wait.measured(0.25):
            pass
        yield from super().transcribe(inputs)


class Loader(InstantLoader):
    """Loads it for the device of this kind."""

    def __init__(self, kind: str) -> None:
        super().__init__(OPTIONS, Waits())
        self.used = EngineUsed("waits", ModelUsed("none"), DeviceUsed(kind))

    def _load(self) -> LoadedEngine:
        return LoadedEngine(self._engine, self.used)


class Told(PipelineListener[LocalFile]):
    """Keeps what is told of the wait."""

    def __init__(self) -> None:
        self.waits: list[tuple[float, float]] = []

    def audio_waited(self, waited: float, seconds: float) -> None:
        self.waits.append((waited, seconds))


@pytest.mark.parametrize(("kind", "told"), [("cuda", [(1.0, 4.0)]), ("cpu", [])])
def test_the_wait_of_a_gpu_is_told_and_that_of_a_cpu_is_not(
    kind: str, told: list[tuple[float, float]], tmp_path: Path
) -> None:
    path, listener = tmp_path / "audio.wav", Told()
    write_wav(path, np.zeros(SAMPLE_RATE // 100, np.float32))
    sink = LocalSink([Format.TXT], Subtitles(), QualityPolicy.WARN)
    settings = PipelineOptions(OPTIONS, AudioSelection(), tmp_path)
    source = LocalSource([LocalFile(path, tmp_path, "audio", 0)])
    pipeline: Pipeline[Any] = Pipeline(source, sink, Loader(kind), settings, listener)
    pipeline.run()
    assert listener.waits == told


def test_beside_a_gpu_as_many_inputs_are_prepared_as_there_are_cores_within_bounds() -> None:
    assert [prepared_ahead("cuda", cores) for cores in (1, 4, 10, 192)] == [4, 4, 10, 16]
    assert prepared_ahead("cpu", 64) == 4
