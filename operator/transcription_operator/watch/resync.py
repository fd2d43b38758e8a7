"""List everything every few minutes: this repairs what the watches have missed, and shows whether they are alive.

Each namespace is listed on its own: one that does not exist, or where the operator has no rights, does not stop the others.
"""

import asyncio
import logging
import time
from collections.abc import Sequence

from transcription_operator.cluster import ApiError, KubernetesClient, UnreachableError
from transcription_operator.config import Config
from transcription_operator.watch.informer import ALL_NAMESPACES, Informer
from transcription_operator.watch.informer_cache import InformerCache

logger = logging.getLogger(__name__)

# Seconds until a list that failed is tried again.
RETRY_SECONDS = 5.0
# What the apiserver answers where the operator has no rights, or where there is nothing of the kind: not a passing fault.
REFUSALS = (401, 403, 404)


class Resync:
    """`synced` is set once each namespace has been listed or refused, and one has been listed at least.

    `unavailable` has the error of each namespace that was refused, by its name.
    """

    def __init__(self, config: Config, client: KubernetesClient, cache: InformerCache, informer: Informer) -> None:
        self._seconds = config.resync_seconds
        self._namespaces: tuple[str | None, ...] = config.namespaces or (None,)
        self._client = client
        self._cache = cache
        self._informer = informer
        self._refused: set[str | None] = set()
        self._listing = asyncio.Lock()
        self.synced = asyncio.Event()
        self.unavailable: dict[str, str] = {}

    async def run(self) -> None:
        """List everything again and again, until cancelled, and what failed more often."""
        while True:
            failed = await self.list_all()
            ends = time.monotonic() + self._seconds
            while failed and time.monotonic() < ends:
                await asyncio.sleep(RETRY_SECONDS)
                failed = await self._list_namespaces(failed)
            await asyncio.sleep(ends - time.monotonic())

    async def list_all(self) -> Sequence[str | None]:
        """List everything once, and return the namespaces for which that failed."""
        return await self._list_namespaces(self._namespaces)

    async def list_all_answered(self) -> None:
        """List everything, until the apiserver has listed or refused each namespace."""
        failed = await self.list_all()
        while failed := [namespace for namespace in failed if namespace not in self._refused]:
            await asyncio.sleep(RETRY_SECONDS)
            failed = [*await self._list_namespaces(failed)]

    async def _list_namespaces(self, namespaces: Sequence[str | None]) -> Sequence[str | None]:
        async with self._listing:
            return await self._list_each(namespaces)

    async def _list_each(self, namespaces: Sequence[str | None]) -> Sequence[str | None]:
        self._cache.begin_list()
        failed: list[str | None] = []
        for number, namespace in enumerate(namespaces):
            try:
                await self._list(namespace)
                self._note(namespace, None)
            except ApiError as error:
                self._note(namespace, error)
                failed.append(namespace)
            except UnreachableError as error:
                logger.warning("resync failed; retrying in %.0f s: %s", RETRY_SECONDS, error)
                return [*failed, *namespaces[number:]]
            except Exception:
                logger.exception("resync failed in %s", namespace or ALL_NAMESPACES)
                failed.append(namespace)
        if len(failed) < len(self._namespaces):
            self.synced.set()
        return failed

    def _note(self, namespace: str | None, error: ApiError | None) -> None:
        """Remember whether the namespace could be listed, and log it if that has changed."""
        name, problem = namespace or ALL_NAMESPACES, None if error is None else str(error)
        self._refused.discard(namespace)
        if error is not None and error.status in REFUSALS:
            self._refused.add(namespace)
        if problem == self.unavailable.get(name):
            return
        if problem is None:
            del self.unavailable[name]
            logger.info("%s can be listed again", name)
        else:
            self.unavailable[name] = problem
            logger.warning("%s cannot be listed; retrying every %.0f s: %s", name, RETRY_SECONDS, problem)

    async def _list(self, namespace: str | None) -> None:
        """List one namespace, and take what it no longer has for deleted.

        The Jobs come first: otherwise a resource that is listed before its Job would seem to have none.
        """
        jobs, resources = self._cache.jobs_in(namespace), self._cache.resources_in(namespace)
        listed: set[str] = set()
        async for job_page in self._client.list_jobs(namespace):
            for job in job_page:
                listed.add(job.uid)
                self._informer.on_listed_job(job, jobs.get(job.uid))
        async for page in self._client.list_resources(namespace):
            for resource in page:
                listed.add(resource.uid)
                self._informer.on_listed_resource(resource, resources.get(resource.uid))
        missed_jobs = [job for uid, job in jobs.items() if uid not in listed]
        missed_resources = [resource for uid, resource in resources.items() if uid not in listed]
        for job in missed_jobs:
            self._informer.on_unlisted_job(job)
        for resource in missed_resources:
            self._informer.on_unlisted_resource(resource)
        found, missed = len(listed), len(missed_jobs) + len(missed_resources)
        logger.info(
            "listed %d objects in %s; the watches missed %d deletions", found, namespace or ALL_NAMESPACES, missed
        )
