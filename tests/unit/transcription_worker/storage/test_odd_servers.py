"""What servers answer that are not quite S3: nothing is left out, nothing is waited for without end."""

import itertools
from pathlib import Path
from typing import Any

import pytest
from transcription_worker.errors import WorkerError
from transcription_worker.paths import Paths
from transcription_worker.retry import ENV_OUTAGE_SECONDS
from transcription_worker.storage.bucket import ObjectInfo
from transcription_worker.storage.roles import Role

from tests.support.answering_bucket import Answer, answering_bucket, serve, write_secret

FOUND = ObjectInfo("one", 9)


@pytest.fixture(autouse=True)
def short_outage(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(ENV_OUTAGE_SECONDS, "0.2")


def page(*keys: str, following: str = "") -> Answer:
    contents = "".join(
        f'<Contents><Key>{key}</Key><Size>1</Size><ETag>"e"</ETag><LastModified>2026-01-01T00:00:00Z</LastModified></Contents>'
        for key in keys
    )
    return 200, {}, f"<ListBucketResult>{contents}{following}</ListBucketResult>".encode()


MORE = "<IsTruncated>true</IsTruncated>"
AGAIN = f"{MORE}<NextContinuationToken>again</NextContinuationToken>"


@pytest.mark.parametrize(
    ("keys", "following", "words"),
    [
        ((), MORE, "names no next page, though there is one"),
        (("a", "b"), MORE, "goes on with the same page"),
        (("a", "b"), AGAIN, "goes on with the same page"),
    ],
)
def test_a_listing_of_which_pages_are_missing_or_never_end_is_a_failure(
    tmp_path: Path, keys: tuple[str, ...], following: str, words: str
) -> None:
    odd = answering_bucket(tmp_path, lambda _: page(*keys, following=following))
    with pytest.raises(WorkerError, match=words) as caught:
        list(itertools.islice(odd.list(""), 10))
    assert caught.value.reason.name == "EndpointUnreachable"


def test_a_server_that_knows_the_first_version_of_a_listing_alone_is_listed_to_its_end(tmp_path: Path) -> None:
    def first_version(request: Any) -> Answer:
        return page("c") if "marker=b" in request.url else page("a", "b", following=MORE)

    assert [item.key for item in answering_bucket(tmp_path, first_version).list("")] == ["a", "b", "c"]


def test_a_listing_may_leave_out_etags(tmp_path: Path) -> None:
    status, headers, body = page("a")
    without = body.replace(b'<ETag>"e"</ETag>', b"")
    assert [item.etag for item in answering_bucket(tmp_path, lambda _: (status, headers, without)).list("")] == [""]


def test_a_listing_goes_on_where_a_busy_server_broke_off(tmp_path: Path) -> None:
    answers = iter(
        [
            page("a", following=f"{MORE}<NextContinuationToken>two</NextContinuationToken>"),
            (503, {}, b"<Error><Code>SlowDown</Code></Error>"),
            page("b"),
        ]
    )
    busy = answering_bucket(tmp_path, lambda _: next(answers))
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv(ENV_OUTAGE_SECONDS, "5")
        assert [item.key for item in busy.list("")] == ["a", "b"]


def test_an_answer_without_a_byte_is_a_failure_and_is_not_asked_for_for_ever(tmp_path: Path) -> None:
    asked: list[str] = []

    def empty(request: Any) -> Answer:
        asked.append(request.url)
        assert len(asked) < 50
        return 200, {"ETag": '"one"', "Content-Length": "0"}, b""

    with pytest.raises(WorkerError) as caught:
        answering_bucket(tmp_path, empty).download("key", FOUND, tmp_path / "copy")
    assert caught.value.reason.name == "EndpointUnreachable"


def weak(request: Any) -> Answer:
    """Answer as a server does that has weak ETags: a condition that names one never holds."""
    if "If-Match" in request.headers:
        return 412, {}, b"<Error><Code>PreconditionFailed</Code></Error>"
    return 206, {"ETag": 'W/"one"', "Content-Length": "9", "Content-Range": "bytes 0-8/9"}, b"123456789"


def test_an_object_with_a_weak_etag_is_read_whatever_the_condition_gives(tmp_path: Path) -> None:
    weakly = answering_bucket(tmp_path, weak)
    weakly.download("key", FOUND, tmp_path / "copy")
    assert (tmp_path / "copy").read_bytes() == b"123456789"
    assert weakly.read_range("key", 0, 9, "one") == (b"123456789", FOUND)


def test_an_object_that_was_replaced_is_told_also_where_etags_are_weak(tmp_path: Path) -> None:
    weakly = answering_bucket(tmp_path, weak)
    with pytest.raises(WorkerError) as caught:
        weakly.download("key", ObjectInfo("another", 9), tmp_path / "copy")
    assert caught.value.reason.name == "SourceChanged"
    with pytest.raises(WorkerError) as caught:
        weakly.read_range("key", 0, 9, "another")
    assert caught.value.reason.name == "SourceChanged"


@pytest.mark.parametrize("answer", [page("a"), (200, {}, b"<DeleteResult/>")])
@pytest.mark.parametrize(("status", "code"), [(403, "InvalidAccessKeyId"), (400, "ExpiredToken")])
def test_credentials_that_are_renewed_meanwhile_are_taken_for_the_request_that_was_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, answer: Answer, status: int, code: str
) -> None:
    # An expired token is asked for again in any case: only a Secret that is read again ends it within the outage.
    monkeypatch.setenv(ENV_OUTAGE_SECONDS, "5")
    refused: Answer = (status, {}, f"<Error><Code>{code}</Code></Error>".encode())

    def send(request: Any) -> Answer:
        signed = request.headers["Authorization"].decode()
        if "Credential=value/" in signed:
            write_secret(Paths(tmp_path), Role.SOURCE, "renewed")
            return refused
        return answer

    made = answering_bucket(tmp_path, send)
    reload = made._reload_credentials

    def reload_and_serve() -> bool:
        changed = reload()
        if changed:
            serve(made, send)
        return changed

    monkeypatch.setattr(made, "_reload_credentials", reload_and_serve)
    if b"DeleteResult" in answer[2]:
        made.delete_all(["a", "b"])
    else:
        assert [item.key for item in made.list("")] == ["a"]


def test_a_server_that_knows_no_conditional_writes_is_asked_once(tmp_path: Path) -> None:
    conditional: list[str] = []

    def send(request: Any) -> Answer:
        if "If-None-Match" in request.headers:
            conditional.append(request.url)
            return 501, {}, b"<Error><Code>NotImplemented</Code></Error>"
        return 200, {"ETag": '"one"'}, b""

    made = answering_bucket(tmp_path, send)
    made._check_writes = False
    for key in ("a", "b"):
        assert made.replace(key, b"x", "text/plain", None) == ObjectInfo("one", 1)
    assert len(conditional) == 1


@pytest.mark.parametrize(("then", "written"), [(200, True), (412, False)])
def test_a_write_that_met_another_one_is_tried_again_and_then_known_to_be_first_or_not(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, then: int, written: bool
) -> None:
    monkeypatch.setenv(ENV_OUTAGE_SECONDS, "5")
    conflict: Answer = (409, {}, b"<Error><Code>ConditionalRequestConflict</Code></Error>")
    answers = iter([conflict, (then, {"ETag": '"one"'}, b"")])
    made = answering_bucket(tmp_path, lambda _: next(answers))
    made._check_writes = False
    assert (made.replace("a", b"x", "text/plain", None) is not None) == written


def test_a_server_that_names_no_etag_of_what_was_written_is_not_s3(tmp_path: Path) -> None:
    with pytest.raises(WorkerError, match="the answer names no ETag") as caught:
        answering_bucket(tmp_path, lambda _: (200, {}, b"")).write("a", b"x", "text/plain")
    assert caught.value.reason.name == "EndpointUnreachable"
