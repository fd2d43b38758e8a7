"""The kubelet cuts the termination messages of a pod that has many containers: 12,288 bytes are divided by their number."""

import dataclasses

import pytest
from transcription_api import exit_codes, names, reasons
from transcription_api.report import FileFailure, ReasonCount, Report, encode_report, failure, parse_report
from transcription_api.spec import Format
from transcription_api.status import Phase
from transcription_operator.models.objects import PodView

from tests.support.decisions import observe, settled
from tests.support.kubernetes_objects import FINISHED, STARTED, job, pod
from tests.support.many_files import ACCOUNT, begun
from tests.support.reports import WHOLE

# As the kubelet has it (MaxPodTerminationMessageLogLength): of each container's message it keeps its share of them.
BYTES_OF_A_POD = 12 * 1024
FAILURES = tuple(FileFailure(f"calls/{number}/{'x' * 230}.mp3", "UnsupportedMedia") for number in range(10))


def meshed(report: Report, containers: int, code: int = exit_codes.OK) -> PodView:
    """Return the ended pod of a worker that left a report, beside so many containers of a service mesh less itself."""
    message = encode_report(report)[: BYTES_OF_A_POD // containers].decode(errors="replace")
    state = {"exitCode": code, "message": message, "startedAt": STARTED, "finishedAt": FINISHED}
    return pod({"terminated": state}, phase="Failed" if code else "Succeeded")


@pytest.mark.parametrize("containers", [1, 6, 8, 12])
def test_results_are_complete_however_many_containers_the_pod_had(containers: int) -> None:
    spec = {"formats": [fmt.value for fmt in Format], "preview": {"characters": 500}}
    status, _ = settled(observe(spec, job=job(ended="Complete", succeeded=1), pods=(meshed(WHOLE, containers),)))
    assert (status.phase, status.failure) == (Phase.COMPLETE, None)
    assert len(status.results) == len(Format)
    assert (status.words, status.audio_seconds, status.language) == (90000, 36000.0, "pt")


@pytest.mark.parametrize("containers", [1, 6, 8, 12])
def test_the_reason_of_a_failure_is_told_however_many_containers_the_pod_had(containers: int) -> None:
    words = {item.name: getattr(WHOLE, item.name) for item in dataclasses.fields(Report)}
    del words["reason"], words["message"], words["objects"]
    report = failure(reasons.NO_SPACE_LEFT, "the disk is full " * 60, **words)
    ended = meshed(report, containers, reasons.NO_SPACE_LEFT.exit_code or 0)
    status, _ = settled(observe({"retries": 0}, job=job(ended="Failed", failed=1), pods=(ended,)))
    assert status.failure is not None
    assert status.failure.reason == "NoSpaceLeft"


@pytest.mark.parametrize("containers", [1, 5, 8, 12])
def test_the_account_of_many_files_is_read_however_many_containers_the_pod_had(containers: int) -> None:
    account = dataclasses.replace(ACCOUNT, by_reason=(ReasonCount("NoSuchKey", 2),), failures=FAILURES)
    world = begun("collect", failurePolicy={"maxFailedFiles": 5})
    world.end_job("Complete", meshed(Report(files=account, audio_seconds=36_000.0, words=7), containers))
    world.settle()
    status = world.parsed()
    assert (status.phase, status.files and status.files.done, status.words) == (Phase.COMPLETE, 100, 7)
    assert [job.phase for job in world.views()] == [*names.PHASES]


@pytest.mark.parametrize("report", [WHOLE, Report(files=dataclasses.replace(ACCOUNT, failures=FAILURES))])
def test_a_cut_report_never_says_more_than_the_whole_one(report: Report) -> None:
    text, whole = encode_report(report), parse_report(encode_report(report))
    assert whole is not None
    for length in range(len(text)):
        read = parse_report(text[:length])
        if read is None:
            continue
        assert set(read.objects) <= set(whole.objects)
        if read.files is not None and whole.files is not None:
            assert read.files.total == whole.files.total
            assert set(read.files.failures) <= set(whole.files.failures)


@pytest.mark.parametrize("length", range(5, 32))
def test_a_failure_whose_reason_is_cut_off_is_no_success(length: int) -> None:
    text = encode_report(failure(reasons.UNSUPPORTED_MEDIA, "no audio", engine="batched"))
    read = parse_report(text[:length])
    assert read is None or read.reason == "UnsupportedMedia"
