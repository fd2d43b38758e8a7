"""A full list every few minutes: heals what watches lost and finds out whether they live."""

import asyncio
import logging

from transcription_operator.cluster import ApiError, Cluster, UnreachableError
from transcription_operator.config import Config
from transcription_operator.models.objects import Key
from transcription_operator.watch.informer import Intake
from transcription_operator.watch.store import Store
from transcription_operator.work_queue import WorkQueue

logger = logging.getLogger(__name__)

# Seconds between two tries of a list that failed.
RETRY_SECONDS = 5.0


class Resync:
    """`done` is set once the first list is through: from then on the store is whole."""

    def __init__(self, config: Config, cluster: Cluster, store: Store, queue: WorkQueue[Key], intake: Intake) -> None:
        self._seconds = config.resync_seconds
        self._namespaces: tuple[str | None, ...] = config.namespaces or (None,)
        self._cluster = cluster
        self._store = store
        self._queue = queue
        self._intake = intake
        self.done = asyncio.Event()

    async def run(self) -> None:
        while True:
            try:
                await self._once()
                self.done.set()
                await asyncio.sleep(self._seconds)
            except (ApiError, UnreachableError) as error:
                logger.warning("list failed, again in %.0f s: %s", RETRY_SECONDS, error)
                await asyncio.sleep(RETRY_SECONDS)

    async def _once(self) -> None:
        """Jobs first, so that a resource never seems to lack one that exists."""
        self._store.begin_list()
        jobs, jobs_version = await self._list_jobs()
        resources, version = await self._list_resources()
        gone = [*self._store.prune_jobs(jobs, jobs_version), *self._store.prune_resources(resources, version)]
        for key in gone:
            self._queue.add(key)
        logger.info("listed %d resources and %d Jobs; %d gone unnoticed", len(resources), len(jobs), len(gone))

    async def _list_jobs(self) -> tuple[set[str], int]:
        """uids, and the oldest list's version."""
        uids: set[str] = set()
        versions: list[int] = []
        for namespace in self._namespaces:
            async for jobs, version in self._cluster.list_jobs(namespace):
                versions.append(version)
                for job in jobs:
                    uids.add(job.uid)
                    self._intake.list_job(job)
        return uids, min(versions)

    async def _list_resources(self) -> tuple[set[str], int]:
        uids: set[str] = set()
        versions: list[int] = []
        for namespace in self._namespaces:
            async for resources, version in self._cluster.list_resources(namespace):
                versions.append(version)
                for resource in resources:
                    uids.add(resource.uid)
                    self._intake.list_resource(resource)
        return uids, min(versions)
