"""List everything every few minutes: this repairs what the watches have missed, and shows whether they are alive."""

import asyncio
import logging

from transcription_operator.cluster import ApiError, KubernetesClient, UnreachableError
from transcription_operator.config import Config
from transcription_operator.models.objects import Key
from transcription_operator.watch.informer import Informer
from transcription_operator.watch.informer_cache import InformerCache
from transcription_operator.work_queue import WorkQueue

logger = logging.getLogger(__name__)

# Seconds until a list that failed is tried again.
RETRY_SECONDS = 5.0


class Resync:
    """`synced` is set after the first full list: from then on the cache is complete."""

    def __init__(
        self,
        config: Config,
        client: KubernetesClient,
        cache: InformerCache,
        queue: WorkQueue[Key],
        informer: Informer,
    ) -> None:
        self._seconds = config.resync_seconds
        self._namespaces: tuple[str | None, ...] = config.namespaces or (None,)
        self._client = client
        self._cache = cache
        self._queue = queue
        self._informer = informer
        self.synced = asyncio.Event()

    async def run(self) -> None:
        """List everything again and again, until cancelled."""
        while True:
            try:
                await self.list_all()
                self.synced.set()
                await asyncio.sleep(self._seconds)
            except (ApiError, UnreachableError) as error:
                logger.warning("resync failed; retrying in %.0f s: %s", RETRY_SECONDS, error)
                await asyncio.sleep(RETRY_SECONDS)

    async def list_all(self) -> None:
        """List everything once.

        The Jobs come first: otherwise a resource that is listed before its Job would seem to have none.

        Raises:
            ApiError: the apiserver refused a list.
            UnreachableError: the apiserver did not respond.
        """
        self._cache.begin_list()
        jobs, jobs_version = await self._list_jobs()
        resources, version = await self._list_resources()
        missed = [*self._cache.prune_jobs(jobs, jobs_version), *self._cache.prune_resources(resources, version)]
        for key in missed:
            self._queue.add(key)
        logger.info(
            "listed %d TranscriptionJobs and %d Jobs; the watches missed %d deletions",
            len(resources),
            len(jobs),
            len(missed),
        )

    async def _list_jobs(self) -> tuple[set[str], int]:
        """The uids of all Jobs, and the lowest resourceVersion among the lists."""
        uids: set[str] = set()
        versions: list[int] = []
        for namespace in self._namespaces:
            async for jobs, version in self._client.list_jobs(namespace):
                versions.append(version)
                for job in jobs:
                    uids.add(job.uid)
                    self._informer.on_listed_job(job)
        return uids, min(versions)

    async def _list_resources(self) -> tuple[set[str], int]:
        """The uids of all resources, and the lowest resourceVersion among the lists."""
        uids: set[str] = set()
        versions: list[int] = []
        for namespace in self._namespaces:
            async for resources, version in self._client.list_resources(namespace):
                versions.append(version)
                for resource in resources:
                    uids.add(resource.uid)
                    self._informer.on_listed_resource(resource)
        return uids, min(versions)
