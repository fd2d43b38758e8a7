"""Whatever lies at the report's key in the destination, the worker goes on: it belongs to the task, or it does not."""

import json
from typing import Any

import pytest
from transcription_api import layout, reasons
from transcription_api.codec import to_json
from transcription_api.report import DeviceUsed, ModelUsed, QualityCounts, Report, WrittenObject
from transcription_api.spec import Format, Spec, parse_spec
from transcription_worker.errors import WorkerError
from transcription_worker.pipeline.report import CommittedReport, SourceObject, TrackReport, encode_committed
from transcription_worker.pipeline.s3_report import FoundReport, read_report, require_free
from transcription_worker.storage.bucket import Bucket

from tests.support.json_mutations import mutations
from tests.support.kubernetes_objects import SPEC

MUTATIONS = 10_000
SOURCE_ETAG = "abc"
TASK: Spec = parse_spec(SPEC)
COMMITTED = CommittedReport(
    layout.fingerprint(TASK),
    Report(
        engine="batched",
        device=DeviceUsed("cuda", "NVIDIA L4"),
        model=ModelUsed("turbo"),
        source_etag=SOURCE_ETAG,
        language="pt",
        audio_seconds=10.0,
        quality=QualityCounts("good"),
        objects=(WrittenObject(Format.JSON, 10, "e"), WrittenObject(Format.TXT, 5, "f")),
    ),
    "what was said",
    (TrackReport(0, "pt", 3, 1, QualityCounts("good")),),
    SourceObject("audio", "interviews/01.wav"),
)


class OneObject(Bucket):
    """A bucket in which every key holds the same object."""

    def __init__(self, body: bytes) -> None:
        self._body = body

    def read(self, key: str) -> tuple[bytes, str | None]:
        return self._body, "etag"


def found(body: bytes) -> FoundReport:
    report = read_report(OneObject(body), TASK)
    assert report is not None
    return report


def is_free(report: FoundReport) -> bool:
    try:
        require_free(report, TASK, SOURCE_ETAG)
    except WorkerError as error:
        if error.reason is not reasons.DESTINATION_TAKEN:
            raise
        return False
    return True


def test_no_change_of_the_report_makes_the_worker_raise() -> None:
    own = 0
    for body in mutations(to_json(COMMITTED), MUTATIONS):
        own += is_free(found(body))
    assert MUTATIONS / 2 < own < MUTATIONS


@pytest.mark.parametrize("body", [b"[" * 100_000, b'{"report":' * 50_000, b"1" + b"0" * 100_000, b'"' * 2_000_000])
def test_an_object_that_is_made_to_be_hard_is_no_report(body: bytes) -> None:
    assert found(body) == FoundReport("etag", None)


def test_the_report_of_a_newer_version_is_read() -> None:
    written: dict[str, Any] = json.loads(encode_committed(COMMITTED))
    written["speakers"] = 2
    written["report"]["mood"] = "calm"
    written["tracks"][0]["side"] = "left"
    assert found(json.dumps(written).encode()).committed == COMMITTED


def test_a_report_with_a_reason_that_cannot_be_read_is_no_result() -> None:
    written: dict[str, Any] = json.loads(encode_committed(COMMITTED))
    written["report"]["reason"] = 5
    assert found(json.dumps(written).encode()).committed is None


def test_an_endpoint_that_is_no_url_is_refused_as_another_source() -> None:
    written: dict[str, Any] = json.loads(encode_committed(COMMITTED))
    written["source"] = {"bucket": "other", "key": "a.wav", "endpointURL": "http://[:x"}
    assert not is_free(found(json.dumps(written).encode()))
