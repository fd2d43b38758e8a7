"""What watches and lists bring: into the store, and the resource's key into the queue if it is news."""

from transcription_operator.config import Config
from transcription_operator.models.objects import Body, JobView, Key, Resource, view_job, view_resource
from transcription_operator.watch.liveness import WatchProof
from transcription_operator.watch.store import Store
from transcription_operator.work_queue import WorkQueue

DELETED = "DELETED"
ALL_NAMESPACES = "all namespaces"
RESOURCES = "TranscriptionJobs"
JOBS = "Jobs"


class Intake:
    """The one way into the store from outside."""

    def __init__(self, config: Config, store: Store, queue: WorkQueue[Key], proof: WatchProof) -> None:
        self._store = store
        self._queue = queue
        self._proof = proof
        self._namespaced = bool(config.namespaces)

    def watch_resource(self, kind: str | None, body: Body) -> None:
        """An event of a watch: ADDED, MODIFIED, DELETED, or None from a watch's own first list."""
        resource = view_resource(body)
        self._proof.hear(RESOURCES, self._scope(resource.key.namespace), resource.uid)
        if kind == DELETED:
            self._store.drop_resource(resource)
            self._queue.add(resource.key)
        elif self._store.put_resource(resource):
            self._queue.add(resource.key)

    def watch_job(self, kind: str | None, body: Body) -> None:
        job = view_job(body)
        self._proof.hear(JOBS, self._scope(job.namespace), job.uid)
        if kind == DELETED:
            self._store.drop_job(job)
            self._queue_owner(job)
        elif self._store.put_job(job):
            self._queue_owner(job)

    def list_resource(self, resource: Resource) -> None:
        if self._store.put_resource(resource):
            self._proof.owe(RESOURCES, self._scope(resource.key.namespace), resource.uid)
        self._queue.add(resource.key)

    def list_job(self, job: JobView) -> None:
        if self._store.put_job(job):
            self._proof.owe(JOBS, self._scope(job.namespace), job.uid)
            self._queue_owner(job)

    def _queue_owner(self, job: JobView) -> None:
        key = self._store.key_of(job.owner_uid)
        if key is not None:
            self._queue.add(key)

    def _scope(self, namespace: str) -> str:
        return namespace if self._namespaced else ALL_NAMESPACES
