"""A watch event that shows what the operator has just written is not handled again; any other is, before Kopf gets it."""

import json
from collections.abc import AsyncIterator, Callable
from typing import Any

import pytest
from transcription_api import names
from transcription_operator.models.objects import Key
from transcription_operator.watch.informer import JOBS, RESOURCES, Informer
from transcription_operator.watch.informer_cache import InformerCache
from transcription_operator.watch.kopf_session import WatchStream
from transcription_operator.watch.liveness import GRACE_SECONDS, WatchLiveness
from transcription_operator.watch.restart_delay import RestartDelay
from transcription_operator.work_queue import WorkQueue

from tests.support.kubernetes_objects import CREATED, OWNER, SPEC, config, job, owned_job_meta, resource

# The metadata of what `resource` and `job` make.
RESOURCE = {"name": "interview", "namespace": "team-a", "uid": "uid-1", "resourceVersion": "7"}
JOB = {**owned_job_meta(OWNER), "uid": "job-1", "resourceVersion": "8"}


class Watched:
    """An informer that knows a resource and its Job."""

    def __init__(self, *namespaces: str) -> None:
        self.now = 100.0
        self.cache, self.liveness = InformerCache(), WatchLiveness(lambda: self.now)
        settings = config(namespaces=",".join(namespaces))
        self.queue = WorkQueue[Key](accepting=False)
        self.informer = Informer(settings, self.cache, self.queue, self.liveness)
        self.informer.on_listed_resource(resource(SPEC), None)
        self.informer.on_listed_job(job(), None)
        self.queue.accept(())


def event(kind: str, meta: dict[str, Any], of: str = "MODIFIED", **changed: Any) -> dict[str, Any]:
    return {"type": of, "object": {"kind": kind, "metadata": {"creationTimestamp": CREATED, **meta, **changed}}}


@pytest.mark.parametrize("of", ["ADDED", "MODIFIED"])
@pytest.mark.parametrize(("kind", "meta"), [(names.KIND, RESOURCE), ("Job", JOB)])
def test_an_event_of_the_version_that_a_write_has_returned_shows_nothing_new(
    kind: str, meta: dict[str, Any], of: str
) -> None:
    assert Watched().informer.is_known(event(kind, meta, of))


NEWS: dict[str, dict[str, Any]] = {
    "a newer resource": event(names.KIND, RESOURCE, resourceVersion="9"),
    "an older resource": event(names.KIND, RESOURCE, resourceVersion="6"),
    "a deleted resource": event(names.KIND, RESOURCE, "DELETED"),
    "another resource of the name": event(names.KIND, RESOURCE, uid="uid-2"),
    "a resource of another namespace": event(names.KIND, RESOURCE, namespace="team-b"),
    "a newer job": event("Job", JOB, resourceVersion="9"),
    "a deleted job": event("Job", JOB, "DELETED"),
    "another job of the name": event("Job", JOB, uid="job-2"),
    "a job that has lost its owner": event("Job", JOB, ownerReferences=[]),
    "a bookmark": {"type": "BOOKMARK", "object": {"kind": "Job", "metadata": {"resourceVersion": "8"}}},
    "no metadata": {"type": "ADDED", "object": {"kind": "Job"}},
    "metadata that is nothing": {"type": "ADDED", "object": {"kind": "Job", "metadata": None}},
    "labels that are a list": event("Job", JOB, labels=["a"]),
    "a version that is no number": event("Job", JOB, resourceVersion="new"),
}


@pytest.mark.parametrize("name", NEWS)
def test_any_other_event_is_handled(name: str) -> None:
    assert not Watched().informer.is_known(NEWS[name])


@pytest.mark.parametrize("namespaces", [(), ("team-a", "team-b")])
@pytest.mark.parametrize(("kind", "meta", "watch"), [(names.KIND, RESOURCE, RESOURCES), ("Job", JOB, JOBS)])
def test_an_event_that_shows_nothing_new_shows_that_its_watch_is_alive(
    kind: str, meta: dict[str, Any], watch: str, namespaces: tuple[str, ...]
) -> None:
    watched = Watched(*namespaces)
    watched.now += GRACE_SECONDS + 1
    assert any(dead.startswith(watch) for dead in watched.liveness.dead_watches())
    watched.informer.is_known(event(kind, meta))
    assert not any(dead.startswith(watch) for dead in watched.liveness.dead_watches())


class Chunks:
    """The body of a response, in chunks."""

    def __init__(self, *chunks: bytes) -> None:
        self._chunks = chunks

    async def iter_chunked(self, _size: int) -> AsyncIterator[bytes]:
        for chunk in self._chunks:
            yield chunk


async def lines_of(take: Callable[[dict[str, Any]], bool], *chunks: bytes) -> list[dict[str, Any]]:
    """Return what Kopf gets of a watch that sends these chunks."""
    stream = WatchStream(Chunks(*chunks), RestartDelay(), lambda _problem: None, take)  # type: ignore[arg-type]
    text = b"".join([part async for part in stream.iter_chunked(500)])
    return [json.loads(line) for line in text.splitlines()]


def text_of(*events: dict[str, Any]) -> bytes:
    return b"".join(json.dumps(item).encode() + b"\n" for item in events)


def bookmark(version: str, **meta: Any) -> dict[str, Any]:
    return {"type": "BOOKMARK", "object": {"metadata": {"resourceVersion": version, **meta}}}


async def test_an_event_that_shows_nothing_new_queues_nothing() -> None:
    watched = Watched()
    assert watched.informer.take(event(names.KIND, RESOURCE))
    assert watched.informer.take(event("Job", JOB))
    assert len(watched.queue) == 0


@pytest.mark.parametrize("name", ["a newer resource", "a deleted resource", "a newer job", "a deleted job"])
async def test_an_event_with_news_queues_the_resource(name: str) -> None:
    watched = Watched()
    assert watched.informer.take(NEWS[name])
    assert await watched.queue.get() == Key("team-a", "interview")


async def test_the_informer_takes_the_events_and_kopf_gets_the_last_version_of_each_chunk() -> None:
    """Kopf watches on from the last version that it has seen, and dispatches no bookmark."""
    watched = Watched()
    first = text_of(event(names.KIND, RESOURCE, resourceVersion="9"), event("Job", JOB, resourceVersion="10"))
    second = text_of(event(names.KIND, RESOURCE, resourceVersion="11"))
    assert await lines_of(watched.informer.take, first, second[:50], second[50:]) == [bookmark("10"), bookmark("11")]
    known = watched.cache.resource(Key("team-a", "interview"))
    assert known is not None
    assert known.version == 11


async def test_kopf_gets_the_apiservers_own_bookmarks_in_their_order() -> None:
    own = bookmark("12", creationTimestamp=None)
    news = event(names.KIND, RESOURCE, resourceVersion="9")
    assert await lines_of(Watched().informer.take, text_of(news, own)) == [own]
    assert await lines_of(Watched().informer.take, text_of(own, news)) == [own, bookmark("9")]


@pytest.mark.parametrize("name", ["no metadata", "metadata that is nothing", "labels that are a list"])
async def test_an_event_that_no_apiserver_sends_is_logged_and_the_next_one_is_taken(
    name: str, caplog: pytest.LogCaptureFixture
) -> None:
    watched = Watched()
    text = text_of(NEWS[name], event(names.KIND, RESOURCE, resourceVersion="9"))
    assert await lines_of(watched.informer.take, text) == [bookmark("9")]
    assert [record.message for record in caplog.records] == ["an event of a watch was not taken"]
    assert await watched.queue.get() == Key("team-a", "interview")


@pytest.mark.parametrize("kind", ["Pod", None, 5, []])
async def test_an_event_of_another_kind_is_left_to_kopf(kind: Any) -> None:
    other = event(kind, JOB, resourceVersion="9")
    assert await lines_of(Watched().informer.take, text_of(other)) == [other]
