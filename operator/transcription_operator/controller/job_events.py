"""Read what others say of a Job that has no pod: why the apiserver refuses its pods, or why a queue has not admitted it."""

import logging
import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass

from transcription_operator.cluster import ApiError, KubernetesClient
from transcription_operator.models.job_events import JobEvent
from transcription_operator.models.objects import JobView
from transcription_operator.reconcile.pod_refusals import queue_reason
from transcription_operator.reconcile.requeue import MAX_QUEUE_REQUEUE_SECONDS, growing_delay, queue_delay

logger = logging.getLogger(__name__)

# Seconds that a Job may be without a pod before its events are read: most get one within a second.
PATIENCE_SECONDS = 5.0
# Seconds after which a Job that nobody asked about is forgotten: twice the longest pause between two questions.
FORGET_SECONDS = 2 * MAX_QUEUE_REQUEUE_SECONDS
# Seconds by which a question may come early: a resource is looked at after the same delay, by times of whole seconds.
TOLERANCE_SECONDS = 1.0
# Seconds between two looks for such Jobs: of thousands that wait, each look reads all.
FORGET_EVERY_SECONDS = 60.0


@dataclass
class _Awaited:
    """What is awaited of a Job: since when, when others were asked why last, and what they said."""

    since: float
    asked: float
    read_at: float | None = None
    events: tuple[JobEvent, ...] = ()
    queue_reason: str | None = None


class JobEventReader:
    """Reads what is said of a Job, and never watches it: a cluster has many events and workloads, and few matter here."""

    def __init__(self, client: KubernetesClient, monotonic: Callable[[], float] = time.monotonic) -> None:
        self._client = client
        self._monotonic = monotonic
        # By the Job's uid, and whether it waits for a queue: after its admission a pod is awaited anew.
        self._awaited: dict[tuple[str, bool], _Awaited] = {}
        self._forgot_at = -FORGET_EVERY_SECONDS
        self._forbidden = False

    async def read(self, job: JobView) -> tuple[JobEvent, ...]:
        """The events of a Job that has no pod, as they were when they were read last.

        Raises:
            ApiError: the apiserver refused the request for another reason than missing rights.
            UnreachableError: the apiserver did not respond.
        """
        awaited = self._await(job, queued=False)
        if self._is_due(awaited, growing_delay):
            awaited.events = await self._list(job, self._client.list_job_events)
        return awaited.events

    async def read_queue(self, job: JobView) -> str | None:
        """Why a queue has not admitted a Job that is suspended, as it said when it was asked last.

        Raises:
            ApiError: the apiserver refused the request for another reason than missing rights.
            UnreachableError: the apiserver did not respond.
        """
        awaited = self._await(job, queued=True)
        if self._is_due(awaited, queue_delay):
            awaited.queue_reason = await self._queue_reason(job)
        return awaited.queue_reason

    def forget(self, job: JobView) -> None:
        """The Job has a pod, or has ended."""
        for queued in (False, True):
            self._awaited.pop((job.uid, queued), None)

    def _await(self, job: JobView, queued: bool) -> _Awaited:
        now = self._monotonic()
        self._forget_the_unasked(now)
        awaited = self._awaited.setdefault((job.uid, queued), _Awaited(now, now))
        awaited.asked = now
        return awaited

    def _forget_the_unasked(self, now: float) -> None:
        if now - self._forgot_at < FORGET_EVERY_SECONDS:
            return
        self._forgot_at = now
        self._awaited = {key: item for key, item in self._awaited.items() if now - item.asked <= FORGET_SECONDS}

    def _is_due(self, awaited: _Awaited, delay: Callable[[float], float]) -> bool:
        """Whether to ask now: soon at first, then after the delay that belongs to the time waited until the last question."""
        now, last = self._monotonic(), awaited.read_at
        pause = PATIENCE_SECONDS if last is None else delay(last - awaited.since) - TOLERANCE_SECONDS
        due = now - (awaited.since if last is None else last) >= pause
        if due:
            awaited.read_at = now
        return due

    async def _queue_reason(self, job: JobView) -> str | None:
        """The words in the Job's workload, or in events where workloads are not served or may not be read."""
        try:
            return await self._client.queue_reason(job)
        except ApiError as error:
            if error.status not in (403, 404):
                raise
        return queue_reason(await self._list(job, self._client.list_queue_events))

    async def _list(
        self, job: JobView, events_of: Callable[[JobView], Awaitable[tuple[JobEvent, ...]]]
    ) -> tuple[JobEvent, ...]:
        try:
            return await events_of(job)
        except ApiError as error:
            if error.status != 403:
                raise
            if not self._forbidden:
                logger.warning("cannot tell why Jobs have no pods: %s", error)
            self._forbidden = True
            return ()
