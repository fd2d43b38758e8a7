"""What it costs on a real S3 server to find out which keys hold an object."""

import pytest
from transcription_worker.batch import existing_objects
from transcription_worker.batch.existing_objects import WORTH, existing_keys
from transcription_worker.storage.bucket import Bucket
from transcription_worker.storage.object_listing import ListedObject
from transcription_worker.storage.roles import Role

from tests.support.bucketful import Bucketful
from tests.support.worker_container import DESTINATION


class Counted:
    """Objects of a bucket below a prefix, and how many requests it takes to find some of them."""

    def __init__(self, run: Bucketful) -> None:
        self._run, self._prefix = run, run.prefix
        self.bucket = Bucket(run.spec.destination.s3, Role.DESTINATION, run.paths)
        self._sent: list[str] = []
        self.bucket._client.meta.events.register("before-send.s3", self._count)

    def _count(self, event_name: str, **_: object) -> None:
        self._sent.append(event_name.rpartition(".")[2])

    def key(self, number: int) -> str:
        return f"{self._prefix}{number:04}.report.json"

    def put(self, *numbers: int) -> None:
        for number in numbers:
            self._run.container.server.client().put_object(Bucket=DESTINATION, Key=self.key(number), Body=b"x")

    def find(self, *numbers: int) -> tuple[list[int], int, int]:
        """Return the numbers that were found, and how many LISTs and HEADs that took."""
        self._sent.clear()
        found = existing_keys(self.bucket, [self.key(number) for number in numbers])
        lists, heads = self._sent.count("ListObjectsV2"), self._sent.count("HeadObject")
        return [number for number in numbers if self.key(number) in found], lists, heads


@pytest.fixture
def counted(run: Bucketful, monkeypatch: pytest.MonkeyPatch) -> Counted:
    """Return a bucket that is looked at in pages of ten."""
    monkeypatch.setattr(existing_objects, "PAGE", 10)
    return Counted(run)


def test_a_few_keys_are_asked_for_one_by_one_whatever_lies_beside_them(counted: Counted) -> None:
    counted.put(*range(15))
    assert counted.find(3, 8, 400) == ([3, 8], 0, 3)


def test_keys_that_lie_close_together_cost_a_request_for_each_page(counted: Counted) -> None:
    counted.put(*range(0, 60, 2))
    found, lists, heads = counted.find(*range(60))
    assert found == [*range(0, 60, 2)]
    assert (lists, heads) == (3, 1)  # the last key is alone, and a HEAD is cheaper


def test_keys_that_are_far_apart_cost_a_head_each_after_the_first_pages(counted: Counted) -> None:
    counted.put(*range(120))
    wanted = [*range(0, 200, 5)]
    found, lists, heads = counted.find(*wanted)
    assert found == [*range(0, 120, 5)]
    assert lists <= existing_objects.FIRST_PAGES + 1
    assert heads <= len(wanted)


def test_what_lies_between_two_groups_of_keys_is_left_out(counted: Counted) -> None:
    counted.put(*range(15), *range(100, 160), *range(900, 915))
    found, lists, heads = counted.find(*range(30), *range(900, 930))
    assert found == [*range(15), *range(900, 915)]
    assert (lists, heads) == (4, 0)


def test_no_keys_cost_nothing(counted: Counted) -> None:
    assert counted.find() == ([], 0, 0)


def test_a_server_that_ignores_where_a_listing_is_to_begin_is_asked_for_each_key(
    counted: Counted, monkeypatch: pytest.MonkeyPatch
) -> None:
    counted.put(*range(20))
    listed = Bucket.list
    monkeypatch.setattr(Bucket, "list", lambda bucket, prefix, _after: listed(bucket, prefix[:-5]))
    assert counted.find(*range(5, 5 + WORTH)) == ([*range(5, 5 + WORTH)], 1, WORTH)


def folders_first(key: str) -> str:
    """Order keys by one name after another, as a server does that keeps objects in folders."""
    return key.replace("/", "\0")


def test_what_a_server_lists_by_folders_is_found_although_its_folder_comes_first(
    run: Bucketful, monkeypatch: pytest.MonkeyPatch
) -> None:
    client, listed = run.container.server.client(), Bucket.list
    keys = [run.prefix + "a.report.json", *(f"{run.prefix}a/{number:02}.report.json" for number in range(WORTH))]
    for key in keys:
        client.put_object(Bucket=DESTINATION, Key=key, Body=b"x")

    def by_folders(bucket: Bucket, prefix: str, after: str) -> list[ListedObject]:
        items = sorted(listed(bucket, prefix), key=lambda item: folders_first(item.key))
        return [item for item in items if folders_first(item.key) > folders_first(after)]

    monkeypatch.setattr(Bucket, "list", by_folders)
    bucket = Bucket(run.spec.destination.s3, Role.DESTINATION, run.paths)
    assert existing_keys(bucket, [*keys, run.prefix + "a/no.report.json"]) == set(keys)
