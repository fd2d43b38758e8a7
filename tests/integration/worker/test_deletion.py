"""The phase delete on a real S3 server: the results that a resource wrote go, and nothing else does."""

import dataclasses
import json
import math
from collections.abc import Callable, Sequence
from pathlib import Path

import pytest
from transcription_api import exit_codes, names, reasons
from transcription_worker.errors import WorkerError
from transcription_worker.storage import bulk_delete
from transcription_worker.storage.bucket import Bucket
from transcription_worker.storage.roles import Role

from tests.support.bucketful import RUN, Bucketful
from tests.support.s3 import S3Server
from tests.support.s3_proxy import changing
from tests.support.worker_container import DESTINATION, SOURCE, SPEECH_KEY, WorkerContainer, written_objects

RESULTS = {f"{name}.{kind}" for name in ("a", "b", "sub/a", "sub/c") for kind in ("txt", "report.json")}


@pytest.fixture
def done(run: Bucketful) -> Bucketful:
    """Return a resource over four files whose results are all there."""
    run.plan()
    run.transcribe()
    run.collect()
    assert set(run.written()) > RESULTS
    return run


def another(run: Bucketful) -> Bucketful:
    """Return another resource over the same files and to the same destination."""
    return dataclasses.replace(run, uid="8d2eccfb-2", fields=run.fields | {"rerun": "Force"})


def test_what_the_resource_wrote_is_deleted_with_its_run_and_the_sources_stay(done: Bucketful) -> None:
    stranger = done.prefix + "a.srt"
    done.container.server.client().put_object(Bucket=DESTINATION, Key=stranger, Body=b"by somebody")
    done.delete()
    assert set(done.written()) == {"a.srt"}
    listed = done.container.server.client().list_objects_v2(Bucket=SOURCE, Prefix=done.prefix)["Contents"]
    assert len(listed) == 4


def test_deleting_twice_changes_nothing_more(done: Bucketful) -> None:
    done.delete()
    done.delete()
    assert done.written() == {}


def test_results_that_an_earlier_resource_wrote_and_this_one_reused_stay(done: Bucketful) -> None:
    second = dataclasses.replace(done, uid="8d2eccfb-2")
    assert second.plan().reused == 4
    second.collect()
    second.delete()
    left = set(done.written())
    assert left > RESULTS
    assert {name for name in left if name.startswith("_runs/")} == {name for name in left if name.startswith(RUN)}


def test_results_that_another_resource_has_written_since_stay(done: Bucketful) -> None:
    later = another(done)
    later.plan()
    later.transcribe()
    done.delete()
    assert set(done.written()) > RESULTS
    later.delete()
    assert done.written() == {}


def test_a_transcript_that_somebody_has_corrected_stays(done: Bucketful) -> None:
    done.container.server.client().put_object(Bucket=DESTINATION, Key=done.prefix + "a.txt", Body=b"corrected")
    done.delete()
    assert done.written() == {"a.txt": b"corrected"}


def test_what_a_run_wrote_that_was_stopped_before_its_account_is_deleted(run: Bucketful) -> None:
    run.plan()
    run.transcribe()
    run.delete()
    assert run.written() == {}


@pytest.mark.parametrize("requests", range(3))
def test_a_deletion_that_broke_off_is_ended_by_the_next_pod(
    done: Bucketful, monkeypatch: pytest.MonkeyPatch, requests: int
) -> None:
    left, delete = [requests], Bucket.delete_all

    def fail(bucket: Bucket, keys: Sequence[str]) -> None:
        delete(bucket, keys if left[0] else keys[:3])
        if not left[0]:
            raise WorkerError(reasons.ENDPOINT_UNREACHABLE, "gone")
        left[0] -= 1

    with monkeypatch.context() as patched:
        patched.setattr(Bucket, "delete_all", fail)
        with pytest.raises(WorkerError, match="gone"):
            done.delete()
    assert done.written() != {}
    done.delete()
    assert done.written() == {}


def test_many_objects_are_deleted_by_few_requests(done: Bucketful, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(bulk_delete, "PAGE", 3)
    of_the_run = len(done.written()) - len(RESULTS)
    before = len(done.container.server.requests())
    done.delete()
    sent = [line for line in done.container.server.requests()[before:] if "_DeleteObject" in line]
    pages = [4, 4, of_the_run, 1]  # the results, their reports, the run's objects and the marker
    assert len(sent) == sum(math.ceil(count / 3) for count in pages)
    assert done.written() == {}


def test_a_run_whose_plan_somebody_removed_is_told_and_keeps_its_results(done: Bucketful) -> None:
    done.container.server.client().delete_object(Bucket=DESTINATION, Key=done.prefix + RUN + "plan.json")
    with pytest.raises(WorkerError) as raised:
        done.delete()
    assert raised.value.reason is reasons.PLAN_MISSING
    assert set(done.written()) > RESULTS


def test_a_run_that_never_came_to_its_plan_leaves_nothing(run: Bucketful) -> None:
    run.delete()
    assert run.written() == {}
    run.objects.write("plan-1/00000.jsonl", b"", "application/x-ndjson")
    run.delete()
    assert run.written() == {}


def test_a_single_file_loses_what_this_resource_wrote_and_not_what_another_did(run: Bucketful) -> None:
    one = dataclasses.replace(run, source={"key": f"{run.prefix}a.wav"})
    one.transcribe_alone()
    assert set(one.written()) == {"a.txt", "a.report.json"}
    dataclasses.replace(one, uid="8d2eccfb-2").delete()
    assert set(one.written()) == {"a.txt", "a.report.json"}
    one.delete()
    assert one.written() == {}


def test_who_may_not_delete_is_told_which_rights_it_takes_and_nothing_is_tried_again(run: Bucketful) -> None:
    server, bucket = run.container.server, "kept-for-ever"
    server.client().create_bucket(Bucket=bucket)
    run.fields = {"destination": {"s3": run.container.endpoint(bucket=bucket, prefix=run.prefix)}}
    run.plan()
    run.transcribe()
    user = server.restricted_user(bucket, ["s3:PutObject", "s3:GetObject", "s3:ListBucket"])
    run.container.mount_secret(names.DESTINATION_CREDENTIALS_DIR, *user)
    with pytest.raises(WorkerError) as raised:
        run.delete()
    assert raised.value.reason is reasons.DESTINATION_DENIED
    assert raised.value.reason.permanent
    assert "s3:DeleteObject" in raised.value.message
    assert server.client().list_objects_v2(Bucket=bucket, Prefix=run.prefix + "a")["KeyCount"] == 2


def answered(status: str, body: str) -> Callable[[bytes], bytes]:
    """Return what gives this answer in place of S3's."""
    text = f"HTTP/1.1 {status}\r\nContent-Type: application/xml\r\nContent-Length: {len(body)}\r\n\r\n{body}"
    return lambda _answer: text.encode()


NOT_NOW = "<DeleteResult><Error><Key>a</Key><Code>InternalError</Code></Error></DeleteResult>"
NOT_AT_ALL = "<Error><Code>NotImplemented</Code></Error>"
# Google's answer, and that of servers from before 2025 to a request of a newer boto3.
INVALID = "<Error><Code>InvalidArgument</Code></Error>"
NO_MD5 = "<Error><Code>MissingContentMD5</Code></Error>"


@pytest.mark.parametrize(
    ("status", "body", "at_once"),
    [("200 OK", NOT_NOW, 1), ("501 No", NOT_AT_ALL, 0), ("400 No", INVALID, 0), ("400 No", NO_MD5, 0)],
)
def test_a_server_that_is_busy_or_deletes_objects_one_by_one_alone_is_served(
    run: Bucketful, status: str, body: str, at_once: int
) -> None:
    server, keys = run.container.server, [f"{run.prefix}{number}" for number in range(3)]
    for key in keys:
        server.client().put_object(Bucket=DESTINATION, Key=key, Body=b"x")
    before = len(server.requests())
    with changing(server.port, b"POST /transcripts?delete", times=1, change=answered(status, body)) as proxy:
        endpoint = dataclasses.replace(run.spec.destination.s3, endpoint_url=f"http://127.0.0.1:{proxy.port}")
        Bucket(endpoint, Role.DESTINATION, run.paths).delete_all(keys)
    assert run.written() == {}
    sent = [line for line in server.requests()[before:] if "_DeleteObject" in line]
    assert len([line for line in sent if "_DeleteObjects" in line]) == 1 + at_once
    assert len(sent) == 2 if at_once else len(sent) == 4


def test_the_versions_of_a_versioned_bucket_stay_behind_delete_markers(run: Bucketful) -> None:
    client, bucket = run.container.server.client(), "versioned"
    client.create_bucket(Bucket=bucket)
    client.put_bucket_versioning(Bucket=bucket, VersioningConfiguration={"Status": "Enabled"})
    run.fields = {"destination": {"s3": run.container.endpoint(bucket=bucket, prefix=run.prefix)}}
    run.plan()
    run.transcribe()
    run.delete()
    assert client.list_objects_v2(Bucket=bucket)["KeyCount"] == 0
    kept = client.list_object_versions(Bucket=bucket, Prefix=run.prefix + "a.txt")
    assert (len(kept["Versions"]), len(kept["DeleteMarkers"])) == (1, 1)


def test_the_worker_deletes_by_its_task(
    container: WorkerContainer, prefix: str, server: S3Server, speech: Path
) -> None:
    spec = container.spec(SPEECH_KEY, prefix, formats=["txt"])
    assert container.run(spec).code == exit_codes.OK
    assert json.loads(written_objects(server, prefix)["01.report.json"])["writtenBy"] == "7c1dbb0a"
    ended = container.run(spec, names.PHASE_DELETE)
    assert (ended.code, ended.report.reason) == (exit_codes.OK, None), ended.log
    assert written_objects(server, prefix) == {}
