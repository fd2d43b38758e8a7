"""Create Kubernetes events in the background, after the reconciles: an event that a crash loses is no lost state."""

import asyncio
import hashlib
import logging
import time
from collections import deque
from collections.abc import Callable
from typing import Any

from transcription_api import names

from transcription_operator.cluster import ApiError, KubernetesClient, NotLeadingError, UnreachableError
from transcription_operator.models.objects import JobView, Resource
from transcription_operator.models.times import format_time
from transcription_operator.reconcile.events import Event

logger = logging.getLogger(__name__)

COMPONENT = "transcription-operator"
# Events that may wait. When one more is recorded, the oldest is dropped; a log line tells of the first one and of each
# further MAX_WAITING.
MAX_WAITING = 10_000
# Bytes. The limit of an event's note, which is the message's name in events.k8s.io; core/v1 itself has none.
MESSAGE_BYTES = 1024
# Seconds between two checks of whether the work queue is empty, and the longest time that an event waits for that: thousands
# of running resources may keep it from ever being empty.
YIELD_SECONDS = 0.05
LONGEST_YIELD_SECONDS = 30.0


class EventRecorder:
    """Creates the recorded events one by one. While `busy` returns True, reconciles have priority."""

    def __init__(
        self,
        client: KubernetesClient,
        busy: Callable[[], bool],
        longest_yield_seconds: float = LONGEST_YIELD_SECONDS,
    ) -> None:
        self._client = client
        self._busy = busy
        self._longest_yield_seconds = longest_yield_seconds
        self._waiting: deque[tuple[float, dict[str, Any]]] = deque(maxlen=MAX_WAITING)  # with when it was recorded
        self._dropped = 0
        self._changed = asyncio.Event()

    def record(self, subject: Resource | JobView, event: Event) -> None:
        """Create the event soon. Returns at once."""
        if len(self._waiting) == MAX_WAITING:
            if self._dropped % MAX_WAITING == 0:
                logger.warning("%d events are waiting; the oldest are dropped", MAX_WAITING)
            self._dropped += 1
        self._waiting.append((time.monotonic(), render_event(subject, event, format_time(self._client.now()))))
        self._changed.set()

    async def run(self) -> None:
        """Create events until cancelled."""
        while True:
            while not self._waiting:
                self._changed.clear()
                await self._changed.wait()
            await self._yield_to_reconciles()
            _, event = self._waiting.popleft()
            await self._create(event)

    async def _yield_to_reconciles(self) -> None:
        recorded, _ = self._waiting[0]
        while self._busy():
            if time.monotonic() - recorded >= self._longest_yield_seconds:
                return
            await asyncio.sleep(YIELD_SECONDS)

    async def _create(self, event: dict[str, Any]) -> None:
        try:
            await self._client.create_event(event)
        except (ApiError, UnreachableError, NotLeadingError) as error:
            subject = event["involvedObject"]
            logger.warning(
                "event %s of %s %s was not created: %s", event["reason"], subject["kind"], subject["name"], error
            )
        except Exception:
            logger.exception("event %s was not created", event["reason"])


def render_event(subject: Resource | JobView, event: Event, now: str) -> dict[str, Any]:
    """A core/v1 Event, as kubectl describe shows it. Its name is derived from its content, so that it exists only once."""
    reference = _reference(subject)
    content = f"{subject.uid}/{event.reason}/{event.message}"
    digest = hashlib.sha256(content.encode(errors="replace")).hexdigest()[:16]
    return {
        "apiVersion": "v1",
        "kind": "Event",
        "metadata": {
            "namespace": reference["namespace"],
            "name": f"{reference['name'][:230].rstrip('-.')}.{digest}",
        },
        "involvedObject": reference | {"uid": subject.uid, "resourceVersion": str(subject.version)},
        "type": event.type,
        "reason": event.reason,
        "message": _cut(event.message),
        "source": {"component": COMPONENT},
        "reportingComponent": COMPONENT,
        "reportingInstance": COMPONENT,
        "firstTimestamp": now,
        "lastTimestamp": now,
        "count": 1,
    }


def _reference(subject: Resource | JobView) -> dict[str, str]:
    if isinstance(subject, JobView):
        return {"apiVersion": "batch/v1", "kind": "Job", "namespace": subject.namespace, "name": subject.name}
    key = subject.key
    return {"apiVersion": names.API_VERSION, "kind": names.KIND, "namespace": key.namespace, "name": key.name}


def _cut(message: str) -> str:
    encoded = message.encode(errors="replace")
    if len(encoded) <= MESSAGE_BYTES:
        return message
    return encoded[: MESSAGE_BYTES - len("…".encode())].decode(errors="ignore") + "…"
