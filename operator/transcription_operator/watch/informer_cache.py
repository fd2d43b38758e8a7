"""The newest known resources and Jobs, from watches, lists and responses to the operator's own writes.

An object is replaced only by a newer version of itself, whatever the order in which versions arrive. There is one exception:
versions go back when etcd is restored from a backup. So what the apiserver answers to a request replaces what was known when
the request was sent.
"""

from collections.abc import Callable, Iterable

from transcription_operator.models.objects import JobView, Key, Owner, Resource


class InformerCache:
    """Used from one event loop. `on_change` is called with a resource's old and new version; None stands for absent."""

    def __init__(self, on_change: Callable[[Resource | None, Resource | None], None] = lambda _old, _new: None) -> None:
        self._resources: dict[Key, Resource] = {}
        self._jobs: dict[Owner, dict[str, JobView]] = {}  # by the owner, then by the Job's uid
        self._owners: dict[str, Owner] = {}  # by the Job's uid
        self._deletion_jobs: dict[Key, dict[str, JobView]] = {}  # those among them that delete results
        # Uids of objects that were deleted since the last list began, and in the time between that list and the one before.
        self._deleted: set[str] = set()
        self._deleted_before: set[str] = set()
        self._on_change = on_change
        self._on_removal: Callable[[str], None] = lambda _uid: None

    def __len__(self) -> int:
        return len(self._resources)

    def on_removal(self, callback: Callable[[str], None]) -> None:
        """Call this with the uid of each object that is removed, whoever found out that it is gone."""
        self._on_removal = callback

    def known_keys(self) -> Iterable[Key]:
        """The keys of all known resources, and of those that may be gone and whose results a Job is to delete."""
        return tuple({**self._resources, **self._deletion_jobs})

    def failed_deletions(self) -> int:
        """How many Jobs could not delete results, and are still there."""
        return sum(job.outcome == "Failed" for jobs in self._deletion_jobs.values() for job in jobs.values())

    def resources_in(self, namespace: str | None) -> dict[str, Resource]:
        """The known resources of a namespace by uid, or of all namespaces if it is None."""
        known = self._resources.values()
        return {item.uid: item for item in known if namespace in (None, item.key.namespace)}

    def jobs_in(self, namespace: str | None) -> dict[str, JobView]:
        """The known Jobs of a namespace by uid, or of all namespaces if it is None."""
        known = (job for owned in self._jobs.values() for job in owned.values())
        return {job.uid: job for job in known if namespace in (None, job.namespace)}

    def resource(self, key: Key) -> Resource | None:
        """The resource, or None if it is not known."""
        return self._resources.get(key)

    def jobs(self, resource: Resource) -> tuple[JobView, ...]:
        """The Jobs of the resource, by ordinal."""
        return self.jobs_of(resource.owner)

    def jobs_of(self, owner: Owner) -> tuple[JobView, ...]:
        """The Jobs of a resource that may be gone, by ordinal."""
        return tuple(sorted(self._jobs.get(owner, {}).values(), key=lambda job: job.ordinal))

    def deletion_jobs(self, key: Key) -> tuple[JobView, ...]:
        """The Jobs that delete results of a resource of this name, the known one or one that was before it."""
        return tuple(self._deletion_jobs.get(key, {}).values())

    def job(self, owner: Owner, uid: str) -> JobView | None:
        """The Job with this uid, or None if it is not known."""
        return self._jobs.get(owner, {}).get(uid)

    def put_resource(self, resource: Resource, before: Resource | None = None) -> bool:
        """Store a resource. Returns False if this version or a newer one is known already.

        `before` is what was known when the request was sent that returned the resource, if a request did.
        """
        old = self._resources.get(resource.key)
        if self._is_deleted(resource.uid) or _is_known(old, resource, before):
            return False
        self._resources[resource.key] = resource
        self._on_change(old, resource)
        return True

    def remove_resource(self, resource: Resource) -> None:
        """Remove a resource that was deleted. A newer one with the same name stays."""
        self._deleted.add(resource.uid)
        self._on_removal(resource.uid)
        old = self._resources.get(resource.key)
        if old is not None and old.uid == resource.uid:
            del self._resources[resource.key]
            self._on_change(old, None)

    def put_job(self, job: JobView, before: JobView | None = None) -> bool:
        """Store a Job. Returns False if it is not ours, or if this version or a newer one is known; see `put_resource`.

        One that was ours is forgotten: somebody has taken away what proves it.
        """
        if job.owner is None or self._is_deleted(job.uid):
            self._forget_job(job.uid)
            return False
        jobs = self._jobs.setdefault(job.owner, {})
        if _is_known(jobs.get(job.uid), job, before):
            return False
        jobs[job.uid] = job
        self._owners[job.uid] = job.owner
        if job.deletes_results:
            self._deletion_jobs.setdefault(job.owner.key, {})[job.uid] = job
        return True

    def remove_job(self, job: JobView) -> None:
        """Remove a Job that was deleted."""
        self._deleted.add(job.uid)
        self._on_removal(job.uid)
        self._forget_job(job.uid)

    def _forget_job(self, uid: str) -> None:
        owner = self._owners.pop(uid, None)
        if owner is None:
            return
        del self._jobs[owner][uid]
        if not self._jobs[owner]:
            del self._jobs[owner]
        if (deletions := self._deletion_jobs.get(owner.key)) is not None:
            deletions.pop(uid, None)
            if not deletions:
                del self._deletion_jobs[owner.key]

    def owner_key(self, job: JobView) -> Key | None:
        """The key of the resource to which the Job belongs. None if it is not known, or if it is another of its name.

        A Job that deletes results is looked at above all when its resource is gone.
        """
        if job.owner is not None and job.deletes_results:
            return job.owner.key
        resource = self._resources.get(job.owner.key) if job.owner is not None else None
        return resource.key if resource is not None and resource.owner == job.owner else None

    def begin_list(self) -> None:
        """Remember deletions from now on, and those since the list before, so that no late answer brings the objects back."""
        self._deleted_before, self._deleted = self._deleted, set()

    def listed(self, uid: str) -> None:
        """A list that began after the last `begin_list` shows this object: if it was deleted before, it has been restored."""
        self._deleted_before.discard(uid)

    def _is_deleted(self, uid: str) -> bool:
        return uid in self._deleted or uid in self._deleted_before


def _is_known(old: Resource | JobView | None, new: Resource | JobView, before: Resource | JobView | None) -> bool:
    if old is None or old.version < new.version:
        return False
    unchanged = before is not None and (before.uid, before.version) == (old.uid, old.version)
    return not unchanged or old.version == new.version
