"""Post Kubernetes events, in the background and after the work itself: an event lost in a crash is no loss of state."""

import asyncio
import hashlib
import logging
from collections import deque
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any

from transcription_api import names

from transcription_operator.cluster import ApiError, Cluster, NotLeadingError, UnreachableError
from transcription_operator.models.objects import Resource
from transcription_operator.models.times import format_time
from transcription_operator.reconcile.plan import EventNote

logger = logging.getLogger(__name__)

COMPONENT = "transcription-operator"
# Events that wait; beyond, the oldest are dropped, with a line in the log.
LIMIT = 10_000
# Seconds between two looks whether the work queue is empty, and the longest that an event waits for that.
YIELD_SECONDS = 0.05
LONGEST_YIELD_SECONDS = 2.0


class Recorder:
    """`busy` says whether resources wait for a worker: events let them go first."""

    def __init__(self, cluster: Cluster, busy: Callable[[], bool]) -> None:
        self._cluster = cluster
        self._busy = busy
        self._events: deque[dict[str, Any]] = deque(maxlen=LIMIT)
        self._changed = asyncio.Event()

    def record(self, resource: Resource, note: EventNote) -> None:
        if len(self._events) == LIMIT:
            logger.warning("%d events wait already: the oldest is dropped", LIMIT)
        self._events.append(render_event(resource, note, format_time(datetime.now(UTC))))
        self._changed.set()

    async def run(self) -> None:
        while True:
            while not self._events:
                self._changed.clear()
                await self._changed.wait()
            await self._give_way()
            await self._post(self._events.popleft())

    async def _give_way(self) -> None:
        waited = 0.0
        while self._busy() and waited < LONGEST_YIELD_SECONDS:
            await asyncio.sleep(YIELD_SECONDS)
            waited += YIELD_SECONDS

    async def _post(self, event: dict[str, Any]) -> None:
        try:
            await self._cluster.create_event(event)
        except (ApiError, UnreachableError, NotLeadingError) as error:
            logger.warning("event %s of %s: %s", event["reason"], event["involvedObject"]["name"], error)


def render_event(resource: Resource, note: EventNote, now: str) -> dict[str, Any]:
    """A core/v1 Event, which kubectl describe shows. Its name comes from what it tells, so that it exists once."""
    told = f"{resource.uid}/{note.reason}/{note.message}"
    digest = hashlib.sha256(told.encode()).hexdigest()[:16]
    return {
        "apiVersion": "v1",
        "kind": "Event",
        "metadata": {"namespace": resource.key.namespace, "name": f"{resource.key.name[:230]}.{digest}"},
        "involvedObject": {
            "apiVersion": names.API_VERSION,
            "kind": names.KIND,
            "namespace": resource.key.namespace,
            "name": resource.key.name,
            "uid": resource.uid,
            "resourceVersion": str(resource.version),
        },
        "type": note.kind,
        "reason": note.reason,
        "message": note.message,
        "source": {"component": COMPONENT},
        "reportingComponent": COMPONENT,
        "reportingInstance": COMPONENT,
        "firstTimestamp": now,
        "lastTimestamp": now,
        "count": 1,
    }
