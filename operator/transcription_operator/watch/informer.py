"""Put what watches and lists show into the cache, and the resource's key into the work queue if it is news."""

import logging

from transcription_api import names

from transcription_operator.config import Config
from transcription_operator.models.objects import Body, JobView, Key, Resource, view_job, view_resource
from transcription_operator.models.ownership import job_owner
from transcription_operator.watch.informer_cache import InformerCache
from transcription_operator.watch.liveness import Watch, WatchLiveness
from transcription_operator.work_queue import WorkQueue

logger = logging.getLogger(__name__)

# The types of watch events for an object that was deleted, and for one that is there.
DELETED = "DELETED"
CHANGES = ("ADDED", "MODIFIED")
ALL_NAMESPACES = "all namespaces"
RESOURCES = "TranscriptionJobs"
JOBS = "Jobs"


class Informer:
    """Everything that comes from the apiserver without a request of the reconciler goes through this class."""

    def __init__(self, config: Config, cache: InformerCache, queue: WorkQueue[Key], liveness: WatchLiveness) -> None:
        self._cache = cache
        self._queue = queue
        self._liveness = liveness
        cache.on_removal(liveness.forget)
        self._namespaced = bool(config.namespaces)

    def take(self, event: Body) -> bool:
        """Take an event of a watch. Returns False if it is not about a TranscriptionJob or a Job, as a bookmark is not.

        One that no apiserver sends is logged and has no effect: an error here would end the watch.
        """
        kind, of = event["object"].get("kind"), event.get("type")
        if kind not in (names.KIND, "Job") or of not in (DELETED, *CHANGES):
            return False
        handle = self.on_resource_event if kind == names.KIND else self.on_job_event
        try:
            if not self.is_known(event):
                handle(of, event["object"])
        except Exception:
            logger.exception("an event of a watch was not taken")
        return True

    def is_known(self, event: Body) -> bool:
        """Whether a watch event shows a version that the cache holds, as it does after each write of the operator's own.

        Such an event counts for the liveness of its watch, and has no other effect.
        """
        try:
            kind, meta = event["object"]["kind"], event["object"]["metadata"]
            known = event["type"] in CHANGES and int(meta["resourceVersion"]) == self._known_version(kind, meta)
        except (AttributeError, KeyError, TypeError, ValueError):
            return False  # a bookmark, or what no apiserver sends
        if known:
            watch = self._watch(RESOURCES if kind == names.KIND else JOBS, meta["namespace"])
            self._liveness.event_received(watch, meta["uid"])
        return known

    def _known_version(self, kind: str, meta: Body) -> int | None:
        if kind == names.KIND:
            resource = self._cache.resource(Key(meta["namespace"], meta["name"]))
            return resource.version if resource is not None and resource.uid == meta["uid"] else None
        owner = job_owner(meta) if kind == "Job" else None
        job = self._cache.job(owner, meta["uid"]) if owner is not None else None
        return job.version if job is not None else None

    def on_resource_event(self, event_type: str | None, body: Body) -> None:
        """Take a watch event: ADDED, MODIFIED or DELETED, or None for an object of the list that a watch starts with."""
        resource = view_resource(body)
        self._liveness.event_received(self._watch(RESOURCES, resource.key.namespace), resource.uid)
        if event_type == DELETED:
            self._cache.remove_resource(resource)
            self._queue.add(resource.key)
        elif self._cache.put_resource(resource):
            self._queue.add(resource.key)

    def on_job_event(self, event_type: str | None, body: Body) -> None:
        """Take a watch event of a Job; see `on_resource_event`. The key that is queued is its owner's."""
        job = view_job(body)
        self._liveness.event_received(self._watch(JOBS, job.namespace), job.uid)
        if event_type == DELETED:
            self._cache.remove_job(job)
            self._queue_owner(job)
        elif self._cache.put_job(job):
            self._queue_owner(job)

    def on_listed_resource(self, resource: Resource, before: Resource | None) -> None:
        """Take a resource from a full list. It is always queued, so that every list reconciles every resource.

        `before` is the resource with this uid that was known when the list was begun.
        """
        self._cache.listed(resource.uid)
        if self._cache.put_resource(resource, before):
            self._liveness.expect_event(self._watch(RESOURCES, resource.key.namespace), resource.uid)
        self._queue.add(resource.key)

    def on_listed_job(self, job: JobView, before: JobView | None) -> None:
        """Take a Job from a full list. Its owner is queued if the list shows something that no watch has shown.

        That of a Job that deletes results is queued in any case: no list shows a resource that is gone.
        """
        self._cache.listed(job.uid)
        if self._cache.put_job(job, before):
            self._liveness.expect_event(self._watch(JOBS, job.namespace), job.uid)
            self._queue_owner(job)
        elif job.deletes_results:
            self._queue_owner(job)

    def on_unlisted_resource(self, resource: Resource) -> None:
        """Take a resource that was known when a full list was begun and that the list does not show: it was deleted."""
        self._cache.remove_resource(resource)
        self._queue.add(resource.key)

    def on_unlisted_job(self, job: JobView) -> None:
        """Take a Job that was known when a full list was begun and that the list does not show."""
        self._cache.remove_job(job)
        self._queue_owner(job)

    def _queue_owner(self, job: JobView) -> None:
        key = self._cache.owner_key(job)
        if key is not None:
            self._queue.add(key)

    def _watch(self, kind: str, namespace: str) -> Watch:
        return Watch(kind, namespace if self._namespaced else ALL_NAMESPACES)
