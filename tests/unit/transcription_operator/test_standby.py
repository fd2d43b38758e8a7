"""A replica that does not lead keeps what exists, and nothing of what came and went."""

from transcription_operator.models.objects import Key, Resource
from transcription_operator.watch.informer import Informer
from transcription_operator.watch.informer_cache import InformerCache
from transcription_operator.watch.liveness import WatchLiveness
from transcription_operator.work_queue import WorkQueue

from tests.support.kubernetes_objects import CREATED, SPEC, config, resource


def body(number: int, version: int) -> dict[str, object]:
    meta = {"name": f"job-{number}", "namespace": "team-a", "uid": f"uid-{number}", "resourceVersion": str(version)}
    return {"metadata": meta | {"creationTimestamp": CREATED}, "spec": SPEC}


async def test_a_standby_queues_nothing_however_many_resources_come_and_go() -> None:
    cache, queue = InformerCache(), WorkQueue[Key](accepting=False)
    informer = Informer(config(), cache, queue, WatchLiveness())
    for number in range(5000):
        informer.on_resource_event("ADDED", body(number, 2 * number))
        informer.on_resource_event("DELETED", body(number, 2 * number + 1))
    assert (len(queue), len(cache)) == (0, 0)


async def test_a_standby_that_becomes_the_leader_reconciles_everything_once() -> None:
    cache, queue = InformerCache(), WorkQueue[Key](accepting=False)
    known: list[Resource] = [resource(SPEC, name=f"job-{number}", uid=f"uid-{number}") for number in range(3)]
    for item in known:
        cache.put_resource(item)
        queue.add(item.key)
    queue.accept(cache.known_keys())
    assert [await queue.get() for _ in range(len(queue))] == [item.key for item in known]
    queue.add(Key("team-a", "new"))
    assert len(queue) == 1
