"""Many small files keep the engine busy: they are prepared further ahead than large ones, and decoded together."""

from pathlib import Path

import pytest
from transcription_api.report import Report
from transcription_api.spec import AudioSelection, Format, QualityPolicy, Subtitles
from transcription_worker.errors import WorkerError
from transcription_worker.pipeline.listener import PipelineListener
from transcription_worker.pipeline.local_sink import LocalSink
from transcription_worker.pipeline.local_source import LocalFile, LocalSource
from transcription_worker.pipeline.pipeline import Pipeline
from transcription_worker.pipeline.pipeline_options import PipelineOptions
from transcription_worker.pipeline.sink import Transcription

from tests.support.fake_engine import OPTIONS
from tests.support.instant_engine import InstantLoader
from tests.support.media import count_decoded_together, make

FILES = 40


class Outcomes(PipelineListener[LocalFile]):
    """Records what became of each file."""

    def __init__(self) -> None:
        self.seconds: dict[str, float] = {}
        self.failed: dict[str, str] = {}

    def input_written(self, number: int, item: LocalFile, transcription: Transcription, report: Report) -> None:
        self.seconds[item.stem] = transcription.audio_seconds

    def input_failed(self, number: int, item: LocalFile, error: WorkerError) -> None:
        self.failed[item.stem] = error.reason.name


def test_small_files_are_decoded_several_at_a_time_and_a_bad_one_among_them_fails_alone(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    together = count_decoded_together(monkeypatch)
    good, bad = make(tmp_path / "a.mp3", seconds=2), tmp_path / "bad.mp3"
    bad.write_bytes(b"ID3\x03" + bytes(5000))
    paths = {f"{number}": bad if number == FILES - 5 else good for number in range(FILES)}
    files = [LocalFile(path, tmp_path / "out", stem, path.stat().st_size) for stem, path in paths.items()]
    outcomes = Outcomes()
    sink = LocalSink([Format.TXT], Subtitles(), QualityPolicy.WARN)
    scratch = tmp_path / "scratch"
    scratch.mkdir()
    Pipeline(
        LocalSource(files), sink, InstantLoader(OPTIONS), PipelineOptions(OPTIONS, AudioSelection(), scratch), outcomes
    ).run()
    assert len(outcomes.seconds) == FILES - 1
    assert set(outcomes.seconds.values()) == {outcomes.seconds["0"]}
    assert outcomes.failed == {str(FILES - 5): "UnsupportedMedia"}
    assert max(together) >= 4
    assert list(scratch.iterdir()) == []
