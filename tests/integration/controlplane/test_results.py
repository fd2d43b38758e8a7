"""Channels and quality get from the worker's report to the stored status and its events."""

import pytest
from transcription_api import exit_codes, reasons
from transcription_api.report import QualityCounts, WrittenObject, failure
from transcription_api.spec import Format

from tests.support.simulated_cluster import Namespace, good_report

pytestmark = pytest.mark.usefixtures("operator")

CHANNELS = tuple(WrittenObject(fmt, 10, "e", channel) for channel in (0, 1) for fmt in (Format.JSON, Format.TXT))


def test_both_channels_of_a_call_are_in_the_status(namespace: Namespace) -> None:
    namespace.create("call", audio={"channel": "split"})
    report = good_report(channels=2, objects=CHANNELS, precision="float16", long_form="sequential")
    namespace.complete(namespace.attempt("call", exit_codes.OK, report))
    status = namespace.until_phase("call", "Complete")
    assert (status["channels"], status["precision"], status["longForm"]) == (2, "float16", "sequential")
    assert status["results"][2] == {
        "format": "json",
        "key": "interviews/01/01.ch1.json",
        "size": 10,
        "etag": "e",
        "channel": 1,
    }


def test_a_call_with_a_channel_missing_is_never_complete(namespace: Namespace) -> None:
    namespace.create("half", audio={"channel": "split"})
    report = good_report(channels=2, objects=CHANNELS[:2])
    namespace.complete(namespace.attempt("half", exit_codes.OK, report))
    status = namespace.until_phase("half", "Failed")
    assert status["failure"]["reason"] == "ResultIncomplete"
    assert status["failure"]["message"] == "the report lacks json of channel 1, txt of channel 1"


def test_sixteen_channels_in_every_format_are_stored_without_etags(namespace: Namespace) -> None:
    namespace.create("panel", audio={"channel": "split"}, formats=[fmt.value for fmt in Format])
    objects = tuple(WrittenObject(fmt, 10**9, "f" * 42, channel) for channel in range(16) for fmt in Format)
    namespace.complete(namespace.attempt("panel", exit_codes.OK, good_report(channels=16, objects=objects)))
    status = namespace.until_phase("panel", "Complete")
    assert len(status["results"]) == len(objects)
    assert {item["etag"] for item in status["results"]} == {""}


def test_doubtful_quality_is_a_warning_beside_complete(namespace: Namespace) -> None:
    namespace.create("doubt")
    report = good_report(quality=QualityCounts("doubtful", repetition_loops=2))
    namespace.complete(namespace.attempt("doubt", exit_codes.OK, report))
    status = namespace.until_phase("doubt", "Complete")
    assert (status["quality"]["verdict"], status["quality"]["repetitionLoops"]) == ("doubtful", 2)
    namespace.until("doubt", lambda _: len(namespace.events("doubt")) == 3, "three events")
    assert sorted(namespace.events("doubt")) == [
        ("Normal", "JobCreated"),
        ("Normal", "ResultsVerified"),
        ("Warning", "LowQuality"),
    ]


def test_rejected_quality_fails_with_counts_and_keys(namespace: Namespace) -> None:
    namespace.create("rejected", quality={"policy": "fail"})
    counts = QualityCounts("bad", text_over_silence=7)
    report = failure(reasons.QUALITY_REJECTED, "7 segments", quality=counts, objects=good_report().objects)
    job = namespace.attempt("rejected", exit_codes.TEXT_REFUSED, report)
    namespace.fail(job, "PodFailurePolicy")
    status = namespace.until_phase("rejected", "Failed")
    assert (status["failure"]["reason"], status["failure"]["exitCode"]) == ("QualityRejected", 71)
    assert (status["quality"]["verdict"], status["quality"]["textOverSilence"]) == ("bad", 7)
    assert [item["key"] for item in status["results"]] == ["interviews/01/01.json", "interviews/01/01.txt"]
