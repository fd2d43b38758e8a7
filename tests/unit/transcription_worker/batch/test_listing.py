"""What the plan believes of a header."""

from typing import Any, cast

import pytest
from transcription_worker.batch import listing
from transcription_worker.batch.listing import Candidate, Found
from transcription_worker.batch.media_headers import Header
from transcription_worker.storage.bucket import ObjectInfo


class Buckets:
    """Stands in for the source's buckets: nothing is read of them."""

    def of(self, _: str | None) -> None:
        return None


@pytest.mark.parametrize(("told", "size", "planned"), [(1e19, 100, 86400), (None, 1 << 50, 86400), (90.0, 100, 90.0)])
def test_no_file_is_planned_as_more_than_the_longest_audio(
    monkeypatch: pytest.MonkeyPatch, told: float | None, size: int, planned: float
) -> None:
    header = Header(ObjectInfo("etag", size), has_audio=True, seconds=told)
    monkeypatch.setattr(listing, "read_header", lambda *_: header)
    read = listing._read(Candidate("a.wav"), cast(Any, Buckets()), cast(Any, None))
    assert not isinstance(read, Exception)
    assert read.seconds == planned


def test_a_file_that_is_named_with_its_bucket_and_without_it_is_one_file() -> None:
    found, other = Found(), Candidate("a.wav", "other")
    named = [Candidate("a.wav"), Candidate("a.wav", "audio"), other]
    assert list(listing._distinct(named, "audio", found)) == [named[0], other]
    assert found.skipped == [("Duplicate", "a.wav")]


@pytest.mark.parametrize(("etag", "asked"), [("etag", False), ("", True)])
def test_a_small_file_is_asked_for_its_etag_where_the_listing_has_none(
    monkeypatch: pytest.MonkeyPatch, etag: str, asked: bool
) -> None:
    requests: list[object] = []

    def read_header(*words: object) -> Header:
        requests.append(words)
        return Header(ObjectInfo("etag", 100), has_audio=True, seconds=1.0)

    monkeypatch.setattr(listing, "read_header", read_header)
    item = Candidate("a.wav", etag=etag, size=100, listed=True)
    read = listing._read(item, cast(Any, Buckets()), cast(Any, None))
    assert not isinstance(read, Exception)
    assert (read.etag, bool(requests)) == ("etag", asked)
