"""The destination is tried before the transcription, with users that may do some things and not others."""

from typing import Any

import pytest
from transcription_api import names, reasons
from transcription_api.spec import Spec, parse_spec
from transcription_worker.errors import WorkerError
from transcription_worker.paths import Paths
from transcription_worker.pipeline.s3_report import read_report
from transcription_worker.pipeline.s3_sink import TRIAL_SUFFIX, trial_key, try_destination
from transcription_worker.storage.bucket import Bucket
from transcription_worker.storage.roles import Role

from tests.support.s3 import S3Server
from tests.support.worker_container import WorkerContainer

BUCKET = "least-privilege"


@pytest.fixture
def allowed(container: WorkerContainer, server: S3Server, request: pytest.FixtureRequest) -> Bucket:
    """Return the bucket as seen by a user who may only do what the test says."""
    client = server.client()
    if BUCKET not in [item["Name"] for item in client.list_buckets()["Buckets"]]:
        client.create_bucket(Bucket=BUCKET)
    container.mount_secret(names.DESTINATION_CREDENTIALS_DIR, *server.restricted_user(BUCKET, request.param))
    return Bucket(spec_of(container).destination.s3, Role.DESTINATION, Paths(container.root))


def spec_of(container: WorkerContainer) -> Spec:
    value = container.spec("01.wav", "out/")
    value["destination"]["s3"]["bucket"] = BUCKET
    return parse_spec(value)


def held(server: S3Server) -> list[str]:
    return [item["Key"] for item in server.client().list_objects_v2(Bucket=BUCKET).get("Contents", [])]


@pytest.mark.parametrize("allowed", [["s3:PutObject", "s3:GetObject", "s3:DeleteObject"]], indirect=True)
def test_the_trial_leaves_nothing_behind(allowed: Bucket, container: WorkerContainer, server: S3Server) -> None:
    assert read_report(allowed, spec_of(container)) is None
    try_destination(allowed, spec_of(container))
    assert held(server) == []


@pytest.mark.parametrize("allowed", [["s3:PutObject", "s3:GetObject"]], indirect=True)
def test_writing_and_reading_are_enough_and_an_empty_object_stays(
    allowed: Bucket, container: WorkerContainer, server: S3Server, caplog: pytest.LogCaptureFixture
) -> None:
    try_destination(allowed, spec_of(container))
    assert held(server) == [f"out/01.report.json{TRIAL_SUFFIX}"]
    assert "may not delete" in caplog.text
    server.client().delete_object(Bucket=BUCKET, Key=f"out/01.report.json{TRIAL_SUFFIX}")


@pytest.mark.parametrize("allowed", [["s3:GetObject"], ["s3:PutObject"]], indirect=True)
def test_who_may_not_write_or_not_read_back_is_denied(allowed: Bucket, container: WorkerContainer) -> None:
    with pytest.raises(WorkerError) as caught:
        try_destination(allowed, spec_of(container))
    assert caught.value.reason is reasons.DESTINATION_DENIED
    assert "S3 answered" in caught.value.message


@pytest.mark.parametrize("allowed", [["s3:PutObject", "s3:GetObject", "s3:DeleteObject"]], indirect=True)
def test_two_workers_that_try_one_destination_at_once_do_not_fail_each_other(
    allowed: Bucket, container: WorkerContainer, server: S3Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    put = allowed.put

    def put_and_lose(key: str, body: bytes, content_type: str) -> dict[str, Any]:
        answer = put(key, body, content_type)
        server.client().delete_object(Bucket=BUCKET, Key=key)
        return answer

    monkeypatch.setattr(allowed, "put", put_and_lose)
    try_destination(allowed, spec_of(container))
    assert held(server) == []


def test_the_trial_has_a_key_that_s3_accepts_where_the_reports_own_is_the_longest(container: WorkerContainer) -> None:
    value = container.spec("a" * 800 + ".wav", "out/" + "b" * 200 + "/")
    assert len(trial_key(parse_spec(value)).encode()) <= 1024
    assert trial_key(parse_spec(value)).startswith("out/")


def test_the_trial_has_a_name_that_a_file_system_accepts_where_the_reports_own_is_the_longest(
    container: WorkerContainer, server: S3Server, prefix: str
) -> None:
    spec = parse_spec(container.spec("a" * 240 + ".wav", prefix))
    try_destination(Bucket(spec.destination.s3, Role.DESTINATION, Paths(container.root)), spec)
