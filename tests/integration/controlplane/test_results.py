"""Channels and quality get from the worker's report to the stored status and its events."""

import contextlib
import copy
import json
import time
from collections.abc import Iterator

import pytest
from transcription_api import exit_codes, names, reasons
from transcription_api.codec import to_json
from transcription_api.report import DeviceUsed, QualityCounts, WrittenObject, failure
from transcription_api.spec import Format

from tests.support.api_client import RefusedError
from tests.support.controlplane import ControlPlane
from tests.support.operator_process import ACCOUNT
from tests.support.simulated_cluster import PATIENCE, Namespace, condition, good_report, until

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


def test_a_job_that_completed_and_lost_its_pod_unseen_is_followed_by_one_that_finds_the_results(
    namespace: Namespace,
) -> None:
    namespace.create("unseen")
    namespace.complete(namespace.job("unseen"))  # no pod is left, as after a night without an operator
    namespace.complete(namespace.attempt("unseen", exit_codes.OK, good_report(reused=True), ordinal=2))
    status = namespace.until_phase("unseen", "Complete")
    assert (status["reused"], status["attempt"], status["jobRef"]["ordinal"]) == (True, 1, 2)
    namespace.until("unseen", lambda _: len(namespace.events("unseen")) == 4, "four events")
    assert sorted(namespace.events("unseen")) == [
        ("Normal", "JobCreated"),
        ("Normal", "JobCreated"),
        ("Normal", "ResultsVerified"),
        ("Warning", "ReportLost"),
    ]


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


def test_a_report_with_impossible_values_completes_without_them_and_its_status_is_written_once(
    plane: ControlPlane, namespace: Namespace
) -> None:
    namespace.create("odd")
    device = DeviceUsed("cuda", "n" * 300, driver="d" * 70)
    report = good_report(words=-1, segments=2**64, audio_seconds=float("nan"), engine="e" * 300, device=device)
    # Our worker writes no NaN; whoever else may write the message may.
    namespace.complete(namespace.attempt("odd", exit_codes.OK, json.dumps(to_json(report))))
    status = namespace.until_phase("odd", "Complete")
    assert {"words", "segments", "audioSeconds", "rtfx"} & set(status) == set()
    assert (len(status["engine"]), len(status["device"]["name"])) == (256, 256)
    assert (status["language"], len(status["results"])) == ("en", 2)
    time.sleep(0.5)
    writes = plane.writes_of(ACCOUNT, namespace.name).count(("update", "transcriptionjobs/status"))
    assert writes <= 4


def test_a_definition_that_is_stricter_than_the_operator_still_lets_the_outcome_through(
    plane: ControlPlane, namespace: Namespace
) -> None:
    namespace.create("strict")
    with stricter_engine(plane, namespace):
        namespace.complete(namespace.attempt("strict", exit_codes.OK, good_report()))
        status = namespace.until_phase("strict", "Complete")
        degraded = condition(status, "Degraded")
        assert (degraded["status"], degraded["reason"]) == ("True", "StatusRejected")
        assert "status.engine: Too long" in degraded["message"]
        assert "engine" not in status
        assert (status["language"], len(status["results"])) == ("en", 2)
        namespace.until("strict", lambda _: ("Warning", "StatusRejected") in namespace.events("strict"), "an event")


@contextlib.contextmanager
def stricter_engine(plane: ControlPlane, namespace: Namespace) -> Iterator[None]:
    """Allow 4 characters in status.engine for the block."""
    crd = f"/apis/apiextensions.k8s.io/v1/customresourcedefinitions/{names.PLURAL}.{names.GROUP}"
    api = plane.api()
    whole = api.get(crd)
    assert whole is not None
    strict = copy.deepcopy(whole["spec"]["versions"])
    strict[0]["schema"]["openAPIV3Schema"]["properties"]["status"]["properties"]["engine"]["maxLength"] = 4
    api.patch(crd, {"spec": {"versions": strict}})
    try:
        namespace.create("probe", suspend=True)
        until(lambda: refuses_engine(namespace), "the stricter definition", PATIENCE)
        yield
    finally:
        api.patch(crd, {"spec": {"versions": whole["spec"]["versions"]}})
        until(lambda: not refuses_engine(namespace), "the definition as it was", PATIENCE)
        api.close()


def refuses_engine(namespace: Namespace) -> bool:
    """Try another text each time: the apiserver bears a value that a newer schema forbids as long as it stays the same."""
    try:
        status = {"engine": f"batched {time.monotonic_ns()}"}
        namespace.api.patch(f"{namespace.resources}/probe/status", {"status": status})
    except RefusedError as error:
        return error.status == 422
    return False
