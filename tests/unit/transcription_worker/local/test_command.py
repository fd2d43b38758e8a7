"""A run over local files ends with what was done, whatever ends it."""

import re
import tempfile
from collections.abc import Container, Iterable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from transcription_api import exit_codes, reasons
from transcription_worker.engines.protocol import Input, Outcome
from transcription_worker.errors import WorkerError
from transcription_worker.local import command
from transcription_worker.main import make_parser
from transcription_worker.pipeline.local_sink import LocalSink
from transcription_worker.pipeline.local_source import LocalSource
from transcription_worker.pipeline.pipeline import Pipeline
from transcription_worker.pipeline.pipeline_options import PipelineOptions

from tests.support.fake_engine import AtOnce
from tests.support.instant_engine import InstantEngine, InstantLoader
from tests.support.speech import SAMPLE_RATE, write_wav


class FailsAfterOne(AtOnce):
    """An engine whose GPU fails at the second input."""

    def transcribe(self, inputs: Any) -> Any:
        for number, item in enumerate(inputs):
            if number:
                raise WorkerError(reasons.GPU_FAULT, "transcribing: CUDA error: device-side assert triggered")
            yield from super().transcribe([item])


class Defective(InstantEngine):
    """An engine that breaks off at the files of these numbers, by an exception that nobody foresaw."""

    def __init__(self, numbers: Container[int]) -> None:
        self._numbers = numbers

    def transcribe(self, inputs: Iterable[Input]) -> Iterator[Outcome]:
        for item in inputs:
            if int(item.id.split(".")[0]) in self._numbers:
                item.open().close()
                raise ZeroDivisionError("words that may be of the transcript")
            yield self.transcribe_file(item)


def run(folder: Path, files: int, engine: Any, monkeypatch: pytest.MonkeyPatch) -> int:
    """Run the local command over so many files with an engine that needs no model, and return its exit code."""
    media = folder / "media"
    media.mkdir()
    for number in range(files):
        write_wav(media / f"{number:02}.wav", np.zeros(SAMPLE_RATE // 100, np.float32))

    def make(self: command.LocalRun) -> Pipeline[Any]:
        plan, options = self._plan, self._plan.options
        sink = LocalSink(plan.formats, plan.subtitles, options.quality.policy)
        settings = PipelineOptions(options, plan.audio, self._scratch)
        return Pipeline(LocalSource(self._files), sink, InstantLoader(options, engine), settings, self._listener)

    monkeypatch.setattr(command.LocalRun, "_make_pipeline", make)
    monkeypatch.setattr(command, "watch_signals", lambda _: None)
    monkeypatch.setattr(tempfile, "tempdir", str(folder))
    words = ["local", str(media), "--output-dir", str(folder / "out"), "--output-format", "txt", "--device", "cpu"]
    return command.run_local(make_parser().parse_args(words))


def test_files_that_were_done_before_the_gpu_failed_are_counted_and_the_others_are_left(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(tmp_path, 3, FailsAfterOne(), monkeypatch) == exit_codes.DEVICE_FAULT
    said = capsys.readouterr()
    assert "3 files: 1 done, 0 failed, 2 left" in said.out
    assert "device-side assert" in said.err
    assert len(list((tmp_path / "out").iterdir())) == 1


def test_a_defect_of_the_engine_at_one_file_leaves_the_others_to_be_done_and_gives_its_exit_code(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(tmp_path, 4, Defective({1}), monkeypatch) == exit_codes.INTERNAL
    assert "4 files: 3 done, 1 failed" in capsys.readouterr().out
    assert len(list((tmp_path / "out").iterdir())) == 3


def test_a_defect_that_ends_the_run_leaves_what_is_written_and_its_summary(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    caplog: pytest.LogCaptureFixture,
) -> None:
    assert run(tmp_path, 20, Defective(range(2, 20)), monkeypatch) == exit_codes.INTERNAL
    assert re.search(r"20 files: 2 done, \d+ failed, \d+ left", capsys.readouterr().out)
    assert len(list((tmp_path / "out").iterdir())) == 2
    assert reasons.INTERNAL_ERROR.name in caplog.messages
    assert sorted(path.name for path in tmp_path.iterdir()) == ["media", "out"]  # and no scratch folder


@pytest.mark.parametrize(("reason", "told"), [(reasons.GPU_FAILED, True), (reasons.NO_SPACE_LEFT, False)])
def test_a_gpu_that_cannot_be_used_is_told_with_the_way_to_the_cpu(
    reason: reasons.Reason, told: bool, capsys: pytest.CaptureFixture[str]
) -> None:
    assert command._report_failure(WorkerError(reason, "a small kernel failed")) == reason.exit_code
    assert (command.USE_CPU in capsys.readouterr().err) == told
