"""The workers of the queue: each takes a key, observes, decides and applies, and never lets a failure stop the rest."""

import asyncio
import logging
import time
from collections.abc import Coroutine
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from transcription_operator.cluster import ApiError, Cluster, NotLeadingError, UnreachableError
from transcription_operator.config import Config
from transcription_operator.controller import apply
from transcription_operator.controller.event_recorder import Recorder
from transcription_operator.controller.observe import observe
from transcription_operator.controller.progress_poller import ProgressPoller
from transcription_operator.models.objects import Key, Resource
from transcription_operator.observability.logs import log_context
from transcription_operator.observability.metrics import Metrics
from transcription_operator.reconcile.decide import decide
from transcription_operator.reconcile.plan import Observed, Plan
from transcription_operator.reconcile.status import is_finished
from transcription_operator.watch.store import Store
from transcription_operator.work_queue import WorkQueue

logger = logging.getLogger(__name__)

# Rounds of observe and decide in one reconcile: a Job to create or suspend, then the status of what came of it.
ROUNDS = 3


@dataclass(frozen=True)
class Controller:
    """All that reconcile works with."""

    config: Config
    cluster: Cluster
    store: Store
    queue: WorkQueue[Key]
    poller: ProgressPoller
    recorder: Recorder
    metrics: Metrics

    async def work(self, leading: asyncio.Event) -> None:
        """One worker, for ever, from when this replica leads."""
        await leading.wait()
        while True:
            key = await self.queue.get()
            try:
                await self._handle(key)
            finally:
                self.queue.done(key)

    async def _handle(self, key: Key) -> None:
        resource = self.store.resource(key)
        began = time.perf_counter()
        with log_context(key, resource):
            failed = await self._guarded(key, self.reconcile(key))
        self.metrics.reconciled(time.perf_counter() - began, failed)
        if failed is None:
            self.queue.forget(key)

    async def _guarded(self, key: Key, work: Coroutine[Any, Any, None]) -> str | None:
        """The kind of error, for the metrics; the key is tried again."""
        try:
            await work
        except NotLeadingError as error:
            # The process is about to end; unless the lease, late as it is, can still be renewed: then this key is not lost.
            logger.warning("not leading, %s; again in %.1f s", error, self.queue.retry(key))
            return "NotLeading"
        except ApiError as error:
            return await self._api_error(key, error)
        except UnreachableError as error:
            logger.warning("%s; again in %.1f s", error, self.queue.retry(key))
            return "Unreachable"
        except Exception:
            logger.exception("defect; again in %.1f s", self.queue.retry(key))
            return "Defect"
        return None

    async def _api_error(self, key: Key, error: ApiError) -> str:
        """A conflict or an absence means that what we know is old."""
        if error.conflict or error.not_found:
            await self._guarded(key, self._refresh(key))
            self.queue.add(key)
            return "Conflict"
        logger.warning("%s; again in %.1f s", error, self.queue.retry(key))
        return "Api"

    async def _refresh(self, key: Key) -> None:
        known = self.store.resource(key)
        fresh = await self.cluster.get_resource(key)
        if known is not None and (fresh is None or fresh.uid != known.uid):
            self.store.drop_resource(known)
        if fresh is not None:
            self.store.put_resource(fresh)

    async def reconcile(self, key: Key) -> None:
        """Level-triggered: from what is, to what ought to be."""
        seen = await observe(key, self.store, self.cluster, self.poller)
        for _ in range(ROUNDS):
            if seen is None:
                self._let_go(key)
                return
            plan = decide(seen, self.config, datetime.now(UTC))
            if plan.create is None and plan.suspend is None:
                await self._finish(key, seen.resource, plan)
                return
            seen = await self._step(key, seen, plan)
        self.queue.add(key)

    async def _step(self, key: Key, seen: Observed, plan: Plan) -> Observed | None:
        refusal = None
        if plan.create is not None:
            refusal = await apply.ensure_job(plan.create, seen.resource, self.cluster, self.store)
        if plan.suspend is not None:
            await apply.ensure_suspension(*plan.suspend, self.cluster, self.store)
        return await observe(key, self.store, self.cluster, self.poller, refusal)

    async def _finish(self, key: Key, resource: Resource, plan: Plan) -> None:
        self.poller.watch(key, plan.poll)
        await apply.ensure_written(resource, plan, self.cluster, self.store, self.recorder)
        self.queue.schedule(key, plan.requeue_seconds)
        if plan.status is not None:
            self.metrics.written(resource, plan.status)
            if is_finished(plan.status):
                self.queue.add(key)  # what comes after the end, as a time to live, is decided from the written status

    def _let_go(self, key: Key) -> None:
        self.poller.watch(key, None)
        self.queue.schedule(key, None)
