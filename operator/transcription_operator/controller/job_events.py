"""Read the events of a Job that has no pod, since nothing else says why the apiserver refuses its pods.

Of one that waits in a queue they are Kueue's, which say why it has not admitted the Job.
"""

import logging
import time
from collections.abc import Callable

from transcription_operator.cluster import ApiError, KubernetesClient
from transcription_operator.models.job_events import JobEvent
from transcription_operator.models.objects import JobView
from transcription_operator.reconcile.requeue import MAX_REQUEUE_SECONDS, growing_delay

logger = logging.getLogger(__name__)

# Seconds that a Job may be without a pod before its events are read: most get one within a second.
PATIENCE_SECONDS = 5.0
# Seconds after which a Job that nobody asked about is forgotten: several of the longest pauses between two questions.
FORGET_SECONDS = 5 * MAX_REQUEUE_SECONDS


class _Awaited:
    """A Job without a pod: since when it was seen so, when its events were read last, and what they were."""

    def __init__(self, now: float) -> None:
        self.since = self.asked = now
        self.read_at: float | None = None
        self.events: tuple[JobEvent, ...] = ()

    def is_due(self, now: float) -> bool:
        """Whether the events are to be read now: soon at first, then less and less often, at last once a minute."""
        waited = now - self.since
        if self.read_at is None:
            return waited >= PATIENCE_SECONDS
        return now - self.read_at >= growing_delay(waited)


class JobEventReader:
    """Reads events by Job, and never watches them: a cluster has many, and few matter here."""

    def __init__(self, client: KubernetesClient, monotonic: Callable[[], float] = time.monotonic) -> None:
        self._client = client
        self._monotonic = monotonic
        self._awaited: dict[str, _Awaited] = {}  # by the Job's uid
        self._forbidden = False

    async def read(self, job: JobView) -> tuple[JobEvent, ...]:
        """The events of a Job that has no pod, as they were when they were read last.

        Raises:
            ApiError: the apiserver refused the request for another reason than missing rights.
            UnreachableError: the apiserver did not respond.
        """
        now = self._monotonic()
        self._forget(now)
        awaited = self._awaited.setdefault(job.uid, _Awaited(now))
        awaited.asked = now
        if awaited.is_due(now):
            awaited.read_at = now
            awaited.events = await self._list(job)
        return awaited.events

    def forget(self, job: JobView) -> None:
        """The Job has a pod, or has ended."""
        self._awaited.pop(job.uid, None)

    async def _list(self, job: JobView) -> tuple[JobEvent, ...]:
        try:
            if job.suspended:
                return await self._client.list_queue_events(job)
            return await self._client.list_job_events(job)
        except ApiError as error:
            if error.status != 403:
                raise
            if not self._forbidden:
                logger.warning("cannot tell why Jobs have no pods: %s", error)
            self._forbidden = True
            return ()

    def _forget(self, now: float) -> None:
        for uid in [uid for uid, item in self._awaited.items() if now - item.asked > FORGET_SECONDS]:
            del self._awaited[uid]
