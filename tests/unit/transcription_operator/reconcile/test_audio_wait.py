"""The status says how long GPUs waited for audio, beside what pods had to give up."""

from transcription_api import reasons
from transcription_api.report import FileCounts, Report, failure
from transcription_api.spec import parse_spec
from transcription_api.status import Phase, Status
from transcription_operator.reconcile.status_transitions import with_report

from tests.support.decisions import condition
from tests.support.kubernetes_objects import SPEC
from tests.support.many_files import ACCOUNT, World, begun, ended

GAVE_UP = "memory ran out: 48 windows at a time"
WAITED = "the GPU waited for audio for 35% of its time"


def transcribed() -> World:
    """Return a world whose pods had to give something up, and whose Job collect has begun."""
    world = begun("transcribe")
    world.end_job("Complete", ended(Report(files=FileCounts(total=1, done=1), warnings=(GAVE_UP,))), succeeded=10)
    world.settle()
    return world


def test_of_one_file_the_share_is_its_reports() -> None:
    status = with_report(Status(), parse_spec(SPEC), Report(audio_wait_share=0.35), "2026-11-27T12:00:00Z")
    assert (status.audio_wait_share, status.warnings) == (0.35, None)


def test_of_many_files_the_share_and_its_warning_are_the_accounts() -> None:
    world = transcribed()
    world.end_job("Complete", ended(Report(files=ACCOUNT, audio_wait_share=0.35, warnings=(WAITED,))), succeeded=1)
    world.settle(20)
    status = world.parsed()
    assert condition(status, "Collected").status == "True"
    assert (status.audio_wait_share, status.warnings) == (0.35, (WAITED, GAVE_UP))


def test_what_pods_had_to_give_up_stays_where_the_account_could_not_be_written() -> None:
    world, reason = transcribed(), reasons.ACCESS_DENIED
    assert reason.exit_code is not None
    world.end_job("Failed", ended(failure(reason, "words"), reason.exit_code), reason="PodFailurePolicy", failed=1)
    world.settle()
    status = world.parsed()
    assert (status.phase, status.warnings) == (Phase.FAILED, (GAVE_UP,))
