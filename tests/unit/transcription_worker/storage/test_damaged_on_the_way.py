"""What is damaged or refused on its way is sent or read again, over a real connection."""

import base64
import zlib
from collections.abc import Callable
from pathlib import Path

import pytest
from transcription_api import reasons
from transcription_worker import retry
from transcription_worker.errors import WorkerError
from transcription_worker.retry import ENV_OUTAGE_SECONDS
from transcription_worker.storage.bucket import ObjectInfo

from tests.support.stub_s3 import Answer, Asked, refusal, stub_bucket, stub_s3, write_secret

BODY = b'{"text": "a result"}'
DAMAGED = b'{"text": "A result"}'
WRITTEN = ObjectInfo("one", len(BODY))
REPORT = "out/call.report.json"


@pytest.fixture(autouse=True)
def short_pauses(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(ENV_OUTAGE_SECONDS, "3")
    monkeypatch.setattr(retry, "FIRST_PAUSE_SECONDS", 0.02)


def accept(asked: Asked) -> Answer:
    return Answer(200, {"ETag": '"one"'}, length=len(BODY) if asked.method == "HEAD" else None)


def first_put(answer: Answer) -> Callable[[Asked], Answer]:
    """Answer the first PUT so, and accept whatever follows."""
    left = [answer]

    def respond(asked: Asked) -> Answer:
        return left.pop() if asked.method == "PUT" and left else accept(asked)

    return respond


@pytest.mark.parametrize(
    ("status", "code"),
    [
        (400, "BadDigest"),
        (400, "IncompleteBody"),
        (400, "XAmzContentChecksumMismatch"),
        (409, "OperationAborted"),
        (408, "ClientTimeout"),
        (408, ""),
        (425, "TooEarly"),
        (425, ""),
        (429, "TooManyRequests"),
        (503, "SlowDown"),
    ],
)
def test_a_write_that_the_server_could_not_take_is_sent_again_as_a_whole(
    tmp_path: Path, status: int, code: str
) -> None:
    write_secret(tmp_path, "key")
    with stub_s3(first_put(refusal(status, code))) as (url, asked):
        assert stub_bucket(tmp_path, url).write(REPORT, BODY, "application/json") == WRITTEN
    assert [(one.method, one.body) for one in asked] == [("PUT", BODY), ("PUT", BODY), ("HEAD", b"")]
    assert asked[0].path == f"/b/{REPORT}"


def test_a_write_with_an_expired_token_is_sent_again_with_the_one_that_was_renewed(tmp_path: Path) -> None:
    write_secret(tmp_path, "key", "old token")

    def respond(asked: Asked) -> Answer:
        if asked.headers["x-amz-security-token"] == "new token":
            return accept(asked)
        write_secret(tmp_path, "key", "new token")
        return refusal(400, "ExpiredToken")

    with stub_s3(respond) as (url, asked):
        assert stub_bucket(tmp_path, url).write(REPORT, BODY, "application/json") == WRITTEN
    tokens = [(one.method, one.headers["x-amz-security-token"]) for one in asked]
    assert tokens == [("PUT", "old token"), ("PUT", "new token"), ("HEAD", "new token")]


def announced(body: bytes) -> Answer:
    """Answer with bytes, and with the checksum of those that were written."""
    checksum = base64.b64encode(zlib.crc32(BODY).to_bytes(4, "big")).decode()
    return Answer(200, {"ETag": '"one"', "x-amz-checksum-crc32": checksum}, body)


def test_a_small_object_that_was_damaged_on_its_way_is_read_again(tmp_path: Path) -> None:
    write_secret(tmp_path, "key")
    answers = [announced(DAMAGED), announced(BODY)]
    with stub_s3(lambda _: answers.pop(0)) as (url, asked):
        assert stub_bucket(tmp_path, url).read(REPORT) == (BODY, "one")
    assert [one.method for one in asked] == ["GET", "GET"]


def test_a_small_object_that_stays_damaged_is_never_returned(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(ENV_OUTAGE_SECONDS, "0")
    write_secret(tmp_path, "key")
    with stub_s3(lambda _: announced(DAMAGED)) as (url, _), pytest.raises(WorkerError) as caught:
        stub_bucket(tmp_path, url).read(REPORT)
    assert caught.value.reason is reasons.ENDPOINT_UNREACHABLE
    assert "FlexibleChecksumError" in caught.value.message
