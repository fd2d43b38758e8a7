"""What a Job's listener adds to the report of its one input."""

from unittest.mock import Mock, create_autospec

import pytest
from transcription_api.report import Report
from transcription_worker.job.transcription import JobListener
from transcription_worker.progress import ProgressTracker


@pytest.mark.parametrize(("waits", "share"), [([], None), ([(1.0, 4.0)], 0.25), ([(1.0, 2.0), (1.5, 6.0)], 0.25)])
def test_the_report_says_for_which_share_of_its_time_the_gpu_waited(
    waits: list[tuple[float, float]], share: float | None
) -> None:
    listener, unused = JobListener(create_autospec(ProgressTracker, instance=True), {}), Mock()
    for waited, seconds in waits:
        listener.audio_waited(waited, seconds)
    listener.input_written(0, unused, unused, Report(words=3))
    assert listener.result() == Report(words=3, audio_wait_share=share)
