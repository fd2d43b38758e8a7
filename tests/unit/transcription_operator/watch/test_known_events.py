"""A watch event that shows what the operator has just written is not handled again; any other is."""

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
        self.informer = Informer(settings, self.cache, WorkQueue[Key](accepting=False), self.liveness)
        self.informer.on_listed_resource(resource(SPEC), None)
        self.informer.on_listed_job(job(), None)


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


async def lines_of(is_known: Callable[[dict[str, Any]], bool], *chunks: bytes) -> list[dict[str, Any]]:
    stream = WatchStream(Chunks(*chunks), RestartDelay(), lambda _problem: None, is_known)  # type: ignore[arg-type]
    text = b"".join([part async for part in stream.iter_chunked(500)])
    return [json.loads(line) for line in text.splitlines()]


async def test_kopf_gets_the_events_with_news_alone_and_in_their_order() -> None:
    shown = [
        event(names.KIND, RESOURCE),
        event(names.KIND, RESOURCE, resourceVersion="9"),
        event("Job", JOB, "ADDED"),
        event("Job", JOB, "DELETED"),
    ]
    text = b"".join(json.dumps(item).encode() + b"\n" for item in shown)
    assert await lines_of(Watched().informer.is_known, text[:50], text[50:]) == [shown[1], shown[3]]
