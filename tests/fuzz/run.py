"""Create fuzzed resources in a real apiserver, under the real operator, and judge what became of each."""

import copy
import threading
import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from queue import Empty, SimpleQueue
from typing import TypeVar

from transcription_api import names

from tests.faults.mirror import Mirror
from tests.fuzz.cluster import play
from tests.fuzz.outcome import Outcome, judged, refusal, settled, task_defects
from tests.fuzz.resources import Resource
from tests.support.api_client import Json, RefusedError
from tests.support.controlplane import ControlPlane
from tests.support.operator_process import Operator
from tests.support.simulated_cluster import Namespace

T = TypeVar("T")

# Resources that are in a namespace at a time, and clients that send requests beside each other.
BATCH = 250
CLIENTS = 4
# Seconds without any change after which a batch is judged as it is.
PATIENCE_SECONDS = 20.0
TICK_SECONDS = 0.05


@dataclass
class Batch:
    """Resources that live in one namespace at the same time."""

    plane: ControlPlane
    namespace: str
    outcomes: list[Outcome] = field(default_factory=list)
    accepted: dict[str, Resource] = field(default_factory=dict)  # by the name in the cluster
    last: dict[str, Json] = field(default_factory=dict)  # the last version of each, by name; some delete themselves
    defects: dict[str, list[str]] = field(default_factory=dict)  # of Jobs, by the resource's name

    def run(self, resources: Iterable[Resource]) -> list[Outcome]:
        """Create the resources, play the cluster until all have settled, judge them and delete everything."""
        area = self._area = Namespace(self.plane.api(), self.namespace)
        mirrors = [Mirror(self.plane, path) for path in (area.resources, area.jobs)]
        try:
            self._share(resources, self._create)
            self._live(*mirrors)
        finally:
            for mirror in mirrors:
                mirror.stop()
        for name, resource in self.accepted.items():
            outcome = judged(resource, self.last.get(name, {}).get("status") or {})
            outcome.defects += self.defects.get(name, [])
            self.outcomes.append(outcome)
        _delete_all(area)
        area.api.close()
        return self.outcomes

    def _create(self, area: Namespace, resource: Resource) -> None:
        query = "?fieldValidation=Strict" if resource.strict else ""
        try:
            made = area.api.post(area.resources + query, resource.body)
        except RefusedError as error:
            self.outcomes.append(refusal(resource, error))
        else:
            self.accepted[made["metadata"]["name"]] = resource

    def _live(self, resources: Mirror, jobs: Mirror) -> None:
        """Play with each Job once, until all resources have settled or nothing changes any more."""
        played: set[str] = set()
        seen, changed = -1, time.monotonic()
        while True:
            if (now := len(resources.history) + len(jobs.history)) != seen:
                seen, changed = now, time.monotonic()
            self.last = {item["metadata"]["name"]: item for _, item in resources.history[:]}
            waiting = [job for job in jobs.items() if job["metadata"]["uid"] not in played and not _suspended(job)]
            self._share(waiting, self._play)
            played |= {job["metadata"]["uid"] for job in waiting}
            # What was seen is as old as the playing took, which on a busy machine may be long.
            quiet = not waiting and time.monotonic() - changed > PATIENCE_SECONDS
            if quiet or (not waiting and all(self._settled(name) for name in self.accepted)):
                return
            time.sleep(TICK_SECONDS)

    def _settled(self, name: str) -> bool:
        return name in self.last and settled(self.last[name].get("status") or {}) is not None

    def _play(self, area: Namespace, job: Json) -> None:
        name = job["metadata"]["annotations"][names.ANNOTATION_NAME]
        try:
            found = task_defects(job, self.last[name]["spec"])
            play(area, job)
        except RefusedError as error:
            if error.status != 404 and name in self.accepted:  # one that expires at once takes its Job along
                found = [f"the cluster could not act: {error}"]
        self.defects.setdefault(name, []).extend(found)

    def _share(self, items: Iterable[T], do: Callable[[Namespace, T], None]) -> None:
        """Do something with each item, over several connections beside each other."""
        waiting: SimpleQueue[T] = SimpleQueue()
        for item in items:
            waiting.put(item)
        failures: list[Exception] = []

        def serve() -> None:
            area = copy.copy(self._area)  # with a connection of its own
            area.api = self.plane.api()
            try:
                while True:
                    do(area, waiting.get_nowait())
            except Empty:
                pass
            except Exception as error:  # noqa: BLE001 - raised in the caller's thread
                failures.append(error)
            area.api.close()

        threads = [threading.Thread(target=serve) for _ in range(min(CLIENTS, waiting.qsize()))]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        if failures:
            raise failures[0]


def operator_defects(operator: Operator, pid: int) -> list[str]:
    """Say whether the operator has ended, or has written a traceback or an error to its log."""
    text = operator.log.read_text(errors="replace")
    at = text.find("Traceback")
    found = [] if at < 0 else [f"a traceback in the log: {text[max(0, at - 500) : at + 3000]}"]
    if operator.pid != pid or operator.get("/healthz")[0] != 200:
        found.append(f"the operator has ended: {text[-2000:]}")
    return found


def _suspended(job: Json) -> bool:
    """Whether no pod of the Job is to run now: the one that deletes results has a parallelism of 0 until it may begin."""
    return bool(job["spec"].get("suspend")) or job["spec"].get("parallelism") == 0


def _delete_all(area: Namespace) -> None:
    """Delete what is left, so that the next batch has short lists."""
    events = f"/api/v1/namespaces/{area.name}/events"
    for path in (area.resources, area.jobs, area.pods, events):
        area.api.request("DELETE", path, {"gracePeriodSeconds": 0, "propagationPolicy": "Background"})
