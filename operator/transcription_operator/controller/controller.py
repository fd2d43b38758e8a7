"""The workers of the queue: each reconciles one key after another, and a key that fails is added again."""

import asyncio
import logging
import time
from collections.abc import Coroutine
from dataclasses import dataclass
from typing import Any

from transcription_operator.cluster import ApiError, KubernetesClient, NotLeadingError, UnreachableError
from transcription_operator.controller.reconciler import Reconciler, UnsettledError
from transcription_operator.models.objects import Key
from transcription_operator.observability.logs import log_context
from transcription_operator.observability.metrics import Metrics, ReconcileError
from transcription_operator.watch.informer_cache import InformerCache
from transcription_operator.work_queue import WorkQueue

logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class Controller:
    """Runs the reconciler for the keys of the queue."""

    reconciler: Reconciler
    client: KubernetesClient
    cache: InformerCache
    queue: WorkQueue[Key]
    metrics: Metrics

    async def run_worker(self, leading: asyncio.Event) -> None:
        """Run one worker until it is cancelled. It starts when `leading` is set."""
        await leading.wait()
        while True:
            key = await self.queue.get()
            try:
                await self._process(key)
            finally:
                self.queue.done(key)

    async def _process(self, key: Key) -> None:
        resource = self.cache.resource(key)
        began = time.perf_counter()
        with log_context(key, resource):
            error = await self._handle_errors(key, self.reconciler.reconcile(key))
        self.metrics.reconcile_ended(time.perf_counter() - began, error)
        if error is None:
            self.queue.forget(key)

    async def _handle_errors(self, key: Key, work: Coroutine[Any, Any, None]) -> ReconcileError | None:
        """Await the work. If it fails, requeue the key and return the kind of error."""
        try:
            await work
        except NotLeadingError as error:
            # The process is about to end, unless the lease can still be renewed: then this key must not be lost.
            logger.warning("not the leader: %s; requeued after %.1f s", error, self.queue.add_rate_limited(key))
            return ReconcileError.NOT_LEADING
        except ApiError as error:
            return await self._handle_api_error(key, error)
        except UnreachableError as error:
            logger.warning("%s; requeued after %.1f s", error, self.queue.add_rate_limited(key))
            return ReconcileError.UNREACHABLE
        except UnsettledError as error:
            logger.warning("%s; requeued after %.1f s", error, self.queue.add_rate_limited(key))
            return ReconcileError.CONFLICT
        except Exception:
            logger.exception("reconcile failed; requeued after %.1f s", self.queue.add_rate_limited(key))
            return ReconcileError.DEFECT
        return None

    async def _handle_api_error(self, key: Key, error: ApiError) -> ReconcileError:
        """On a conflict or an object that does not exist the cache is out of date: refresh it before the next try."""
        seconds = self.queue.add_rate_limited(key, error.retry_after or 0.0)
        if not (error.conflict or error.not_found):
            logger.warning("%s; requeued after %.1f s", error, seconds)
            return ReconcileError.API
        logger.info("%s; the objects are read again, requeued after %.1f s", error, seconds)
        try:
            await self._refresh(key)
        except (ApiError, UnreachableError) as failure:
            logger.warning("the objects were not read again: %s", failure)
        except Exception:
            logger.exception("the objects were not read again")  # an error here would end the operator
        return ReconcileError.CONFLICT

    async def _refresh(self, key: Key) -> None:
        """Read the resource and its Jobs from the apiserver."""
        cached = self.cache.resource(key)
        current = await self.client.get_resource(key)
        if cached is not None and (current is None or current.uid != cached.uid):
            self.cache.remove_resource(cached)
        if current is not None:
            self.cache.put_resource(current, cached)
        for job in self.cache.jobs(cached) if cached is not None else ():
            found = await self.client.get_job(job.namespace, job.name)
            if found is None or found.uid != job.uid:
                self.cache.remove_job(job)
            if found is not None:
                self.cache.put_job(found, job)
