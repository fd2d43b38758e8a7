"""Bytes that are not those of the announced checksum are never taken, whatever the algorithm and however they came."""

import base64
from pathlib import Path
from typing import Any

import pytest
from botocore.httpchecksum import _CHECKSUM_CLS
from transcription_worker.errors import WorkerError
from transcription_worker.retry import ENV_OUTAGE_SECONDS
from transcription_worker.storage import bucket
from transcription_worker.storage.bucket import DOWNLOADS_OF_WRONG_BYTES, ObjectInfo
from transcription_worker.storage.checksums import ALGORITHMS

from tests.support.answering_bucket import Answer, answering_bucket

BODY = b"123456789"
DAMAGED = b"123456780"
FOUND = ObjectInfo("one", len(BODY))
NAMES = sorted(name.removeprefix("Checksum").lower() for name in ALGORITHMS)


def checksum(name: str, body: bytes = BODY) -> dict[str, str]:
    digest = ALGORITHMS[f"Checksum{name.upper()}"]()
    digest.update(body)
    return {f"x-amz-checksum-{name}": base64.b64encode(digest.digest()).decode()}


def whole(body: bytes, **headers: str) -> Answer:
    return 200, {"ETag": '"one"', "Content-Length": str(len(BODY)), **headers}, body


def rest(request: Any, body: bytes, **headers: str) -> Answer:
    begin = int(request.headers["Range"].removeprefix(b"bytes=").rstrip(b"-"))
    answered = {"ETag": '"one"', "Content-Range": f"bytes {begin}-{len(BODY) - 1}/{len(BODY)}"}
    return 206, {**answered, "Content-Length": str(len(BODY) - begin), **headers}, body[begin:]


@pytest.fixture(autouse=True)
def short_outage_and_chunks(monkeypatch: pytest.MonkeyPatch) -> None:
    """What came before a connection broke is kept in whole chunks."""
    monkeypatch.setenv(ENV_OUTAGE_SECONDS, "5")
    monkeypatch.setattr(bucket, "CHUNK", 4)


@pytest.mark.parametrize(
    ("name", "check"),
    [
        ("crc32", "cbf43926"),
        ("crc32c", "e3069283"),
        ("crc64nvme", "ae8b14860a799888"),
        ("md5", "25f9e794323b453885f5181f1b624d0b"),
        ("xxhash64", "8cb841db40e6ae83"),
    ],
)
def test_an_algorithm_gives_its_published_check_value(name: str, check: str) -> None:
    """Of the nine digits: the catalogue of CRCs, RFC 1321 and the reference implementation of XXHash."""
    assert base64.b64decode(checksum(name)[f"x-amz-checksum-{name}"]).hex() == check


def test_every_algorithm_of_boto3_is_compared_and_is_the_same() -> None:
    for name, make in _CHECKSUM_CLS.items():
        theirs = make()
        theirs.update(BODY)
        assert checksum(name) == {f"x-amz-checksum-{name}": theirs.b64digest()}


@pytest.mark.parametrize("name", NAMES)
def test_a_body_of_other_bytes_than_announced_is_a_failure_that_may_pass(tmp_path: Path, name: str) -> None:
    asked: list[str] = []

    def damaged(request: Any) -> Answer:
        asked.append(request.url)
        return whole(DAMAGED, **checksum(name))

    with pytest.raises(WorkerError, match="FlexibleChecksumError") as caught:
        answering_bucket(tmp_path, damaged).download("key", FOUND, tmp_path / "copy")
    assert caught.value.reason.name == "EndpointUnreachable"
    assert not caught.value.reason.permanent
    assert len(asked) == DOWNLOADS_OF_WRONG_BYTES


@pytest.mark.parametrize("name", NAMES)
def test_a_body_that_came_in_two_answers_is_compared_as_a_whole(tmp_path: Path, name: str) -> None:
    answers = {"first": BODY[:4], "rest": DAMAGED}

    def broken_off(request: Any) -> Answer:
        if "Range" in request.headers:
            answer = rest(request, answers["rest"])
            answers["rest"] = BODY
            return answer
        return whole(answers["first"], **checksum(name))

    copy = tmp_path / "copy"
    answering_bucket(tmp_path, broken_off).download("key", FOUND, copy)
    assert copy.read_bytes() == BODY
    assert answers["rest"] == BODY


def test_the_rest_of_a_body_may_come_with_the_checksum_of_the_whole(tmp_path: Path) -> None:
    """As some servers send it, by which boto3 would find every rest wrong."""

    def broken_off(request: Any) -> Answer:
        headers = checksum("crc64nvme")
        return rest(request, BODY, **headers) if "Range" in request.headers else whole(BODY[:4], **headers)

    answering_bucket(tmp_path, broken_off).download("key", FOUND, tmp_path / "copy")
    assert (tmp_path / "copy").read_bytes() == BODY


def test_a_checksum_of_the_checksums_of_parts_is_not_compared(tmp_path: Path) -> None:
    composite = {"x-amz-checksum-crc32c": "AAAAAA==-2"}
    answering_bucket(tmp_path, lambda _: whole(BODY, **composite)).download("key", FOUND, tmp_path / "copy")
    assert (tmp_path / "copy").read_bytes() == BODY


@pytest.mark.parametrize("name", NAMES)
def test_a_small_object_of_other_bytes_than_announced_is_read_again(tmp_path: Path, name: str) -> None:
    bodies = iter([DAMAGED, BODY])
    small = answering_bucket(tmp_path, lambda _: whole(next(bodies), **checksum(name)))
    assert small.read("key") == (BODY, "one")
