"""The status says how long GPUs waited for audio."""

from transcription_api.report import Report
from transcription_api.spec import parse_spec
from transcription_api.status import Status
from transcription_operator.reconcile.status_transitions import with_report

from tests.support.many_files import MANY

AT = "2026-11-27T12:00:00Z"


def test_the_share_and_its_warning_are_the_accounts() -> None:
    report = Report(audio_wait_share=0.35, warnings=("the GPU waited for audio for 35% of its time",))
    status = with_report(Status(), parse_spec(MANY), report, AT)
    assert (status.audio_wait_share, status.warnings) == (0.35, report.warnings)
