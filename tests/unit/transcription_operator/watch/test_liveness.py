"""A watch is dead if it does not show what a list has shown, and only then."""

from collections.abc import AsyncIterator, Callable
from typing import Any, cast

import pytest
from transcription_operator.models.objects import JobView, Key, Owner, Resource
from transcription_operator.watch.informer import Informer
from transcription_operator.watch.informer_cache import InformerCache
from transcription_operator.watch.liveness import GRACE_SECONDS, WatchLiveness
from transcription_operator.watch.resync import Resync
from transcription_operator.work_queue import WorkQueue

from tests.support.kubernetes_objects import CREATED, SPEC, config, job, owned_job_meta, resource


class Lists:
    """An apiserver that only answers lists."""

    def __init__(self) -> None:
        self.resources: list[Resource] = [resource(SPEC)]
        self.jobs: list[JobView] = [job()]

    async def list_resources(self, _namespace: str | None) -> AsyncIterator[list[Resource]]:
        yield self.resources

    async def list_jobs(self, _namespace: str | None) -> AsyncIterator[list[JobView]]:
        yield self.jobs


class Watches:
    """Holds the informer and the resync over one cache, and a clock that a test moves."""

    def __init__(self) -> None:
        self.now = 1000.0
        self.lists = Lists()
        self.liveness = WatchLiveness(lambda: self.now)
        self.cache = InformerCache()
        queue: WorkQueue[Key] = WorkQueue()
        self.informer = Informer(config(), self.cache, queue, self.liveness)
        self.resync = Resync(config(), cast(Any, self.lists), self.cache, self.informer)

    def dead_after_the_grace(self) -> list[str]:
        self.now += GRACE_SECONDS + 1
        return self.liveness.dead_watches()


@pytest.fixture
def watches() -> Watches:
    return Watches()


def resource_body(uid: str = "uid-1") -> dict[str, Any]:
    meta = {"name": uid, "namespace": "team-a", "uid": uid, "resourceVersion": "7", "creationTimestamp": CREATED}
    return {"metadata": meta, "spec": SPEC}


def job_body(uid: str = "job-1") -> dict[str, Any]:
    meta = owned_job_meta(Owner(Key("team-a", "uid-1"), "uid-1"))
    return {"metadata": {**meta, "uid": uid, "resourceVersion": "8", "creationTimestamp": CREATED}}


async def test_a_watch_that_never_shows_what_a_list_has_shown_is_dead(watches: Watches) -> None:
    await watches.resync.list_all()
    assert watches.liveness.dead_watches() == []
    assert watches.dead_after_the_grace() == ["Jobs in all namespaces", "TranscriptionJobs in all namespaces"]


async def test_a_watch_that_shows_it_late_is_alive(watches: Watches) -> None:
    await watches.resync.list_all()
    watches.informer.on_resource_event(None, resource_body())
    watches.informer.on_job_event(None, job_body())
    assert watches.dead_after_the_grace() == []


async def test_a_watch_that_shows_other_objects_is_alive(watches: Watches) -> None:
    await watches.resync.list_all()
    watches.now += 1
    watches.informer.on_resource_event("ADDED", resource_body("another"))
    watches.informer.on_job_event("ADDED", job_body("another"))
    assert watches.dead_after_the_grace() == []


async def test_a_watch_is_alive_if_the_next_list_shows_that_the_object_was_deleted(watches: Watches) -> None:
    await watches.resync.list_all()
    watches.lists.resources, watches.lists.jobs = [], []
    await watches.resync.list_all()
    assert len(watches.cache) == 0
    assert watches.dead_after_the_grace() == []


@pytest.mark.parametrize(
    ("remove", "dead"),
    [
        (lambda cache: cache.remove_resource(resource(SPEC)), "Jobs in all namespaces"),
        (lambda cache: cache.remove_job(job()), "TranscriptionJobs in all namespaces"),
    ],
    ids=["resource", "job"],
)
async def test_a_watch_is_alive_if_a_request_finds_the_object_deleted(
    watches: Watches, remove: Callable[[InformerCache], None], dead: str
) -> None:
    await watches.resync.list_all()
    remove(watches.cache)
    assert watches.dead_after_the_grace() == [dead]  # the other watch still has to show its object
