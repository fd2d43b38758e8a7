"""A run over local files ends with what was done, whatever ends it."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from transcription_api import exit_codes, reasons
from transcription_worker.errors import WorkerError
from transcription_worker.local import command
from transcription_worker.main import make_parser
from transcription_worker.pipeline.local_sink import LocalSink
from transcription_worker.pipeline.local_source import LocalSource
from transcription_worker.pipeline.pipeline import Pipeline
from transcription_worker.pipeline.pipeline_options import PipelineOptions

from tests.support.fake_engine import AtOnce
from tests.support.instant_engine import InstantLoader
from tests.support.speech import SAMPLE_RATE, write_wav


class FailsAfterOne(AtOnce):
    """An engine whose GPU fails at the second input."""

    def transcribe(self, inputs: Any) -> Any:
        for number, item in enumerate(inputs):
            if number:
                raise WorkerError(reasons.GPU_FAULT, "transcribing: CUDA error: device-side assert triggered")
            yield from super().transcribe([item])


def test_files_that_were_done_before_the_gpu_failed_are_counted_and_the_others_are_left(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    media, out = tmp_path / "media", tmp_path / "out"
    media.mkdir()
    for number in range(3):
        write_wav(media / f"{number}.wav", np.zeros(SAMPLE_RATE // 100, np.float32))

    def make(self: command.LocalRun) -> Pipeline[Any]:
        plan, options = self._plan, self._plan.options
        sink = LocalSink(plan.formats, plan.subtitles, options.quality.policy)
        settings = PipelineOptions(options, plan.audio, self._scratch)
        loader = InstantLoader(options, FailsAfterOne())
        return Pipeline(LocalSource(self._files), sink, loader, settings, self._listener)

    monkeypatch.setattr(command.LocalRun, "_make_pipeline", make)
    monkeypatch.setattr(command, "watch_signals", lambda _: None)
    given = make_parser().parse_args(["local", str(media), "--output-dir", str(out), "--device", "cpu"])
    assert command.run_local(given) == exit_codes.DEVICE_FAULT
    said = capsys.readouterr()
    assert "3 files: 1 done, 0 failed, 2 left" in said.out
    assert "device-side assert" in said.err
    assert len({path.stem for path in out.iterdir()}) == 1


@pytest.mark.parametrize(("reason", "told"), [(reasons.GPU_FAILED, True), (reasons.NO_SPACE_LEFT, False)])
def test_a_gpu_that_cannot_be_used_is_told_with_the_way_to_the_cpu(
    reason: reasons.Reason, told: bool, capsys: pytest.CaptureFixture[str]
) -> None:
    assert command._report_failure(WorkerError(reason, "a small kernel failed")) == reason.exit_code
    assert (command.USE_CPU in capsys.readouterr().err) == told
