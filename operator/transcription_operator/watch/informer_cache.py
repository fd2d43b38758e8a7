"""The newest known resources and Jobs, from watches, lists and responses to the operator's own writes.

An object is replaced only by a newer version of itself, whatever the order in which versions arrive.
"""

from collections.abc import Callable, Iterable, Iterator
from typing import TypeVar

from transcription_operator.models.objects import JobView, Key, Resource

T = TypeVar("T", Resource, JobView)


class InformerCache:
    """Used from one event loop. `on_change` is called with a resource's old and new version; None stands for absent."""

    def __init__(self, on_change: Callable[[Resource | None, Resource | None], None] = lambda _old, _new: None) -> None:
        self._resources: dict[Key, Resource] = {}
        self._keys: dict[str, Key] = {}  # by the resource's uid
        self._jobs: dict[str, dict[str, JobView]] = {}  # by the owner's uid, then by the Job's
        self._deleted: set[str] = set()  # uids of objects that were deleted since the last full list began
        self._on_change = on_change
        self._on_removal: Callable[[str], None] = lambda _uid: None

    def __len__(self) -> int:
        return len(self._resources)

    def on_removal(self, callback: Callable[[str], None]) -> None:
        """Call this with the uid of each object that is removed, whoever found out that it is gone."""
        self._on_removal = callback

    def resource(self, key: Key) -> Resource | None:
        """The resource, or None if it is not known."""
        return self._resources.get(key)

    def jobs(self, uid: str) -> tuple[JobView, ...]:
        """The Jobs of the resource with this uid, by ordinal."""
        return tuple(sorted(self._jobs.get(uid, {}).values(), key=lambda job: job.ordinal))

    def put_resource(self, resource: Resource) -> bool:
        """Store a resource. Returns False if this version or a newer one is known already."""
        old = self._resources.get(resource.key)
        if resource.uid in self._deleted or (old is not None and old.version >= resource.version):
            return False
        if old is not None and old.uid != resource.uid:
            self._keys.pop(old.uid, None)
        self._resources[resource.key] = resource
        self._keys[resource.uid] = resource.key
        self._on_change(old, resource)
        return True

    def remove_resource(self, resource: Resource) -> None:
        """Remove a resource that was deleted. A newer one with the same name stays."""
        self._deleted.add(resource.uid)
        self._on_removal(resource.uid)
        old = self._resources.get(resource.key)
        if old is not None and old.uid == resource.uid:
            del self._resources[resource.key]
            self._keys.pop(resource.uid, None)
            self._on_change(old, None)

    def put_job(self, job: JobView) -> bool:
        """Store a Job. Returns False if this version or a newer one is known already, or if it has no owner."""
        if job.owner_uid is None or job.uid in self._deleted:
            return False
        jobs = self._jobs.setdefault(job.owner_uid, {})
        old = jobs.get(job.uid)
        if old is not None and old.version >= job.version:
            return False
        jobs[job.uid] = job
        return True

    def remove_job(self, job: JobView) -> None:
        """Remove a Job that was deleted."""
        self._deleted.add(job.uid)
        self._on_removal(job.uid)
        jobs = self._jobs.get(job.owner_uid or "", {})
        jobs.pop(job.uid, None)
        if not jobs:
            self._jobs.pop(job.owner_uid or "", None)

    def owner_key(self, uid: str | None) -> Key | None:
        """The key of the resource with this uid, which a Job names as its owner. None if it is not known."""
        return self._keys.get(uid or "")

    def begin_list(self) -> None:
        """Remember deletions from now on, so that a list that began earlier does not bring the objects back."""
        self._deleted.clear()

    def prune_resources(self, listed: Iterable[str], version: int) -> list[Key]:
        """Remove the resources that are missing from a full list, and return their keys.

        `listed` holds the list's uids, `version` its resourceVersion: an object that is newer than the list stays.
        """
        unlisted = list(_unlisted(self._resources.values(), set(listed), version))
        for resource in unlisted:
            self.remove_resource(resource)
        return [resource.key for resource in unlisted]

    def prune_jobs(self, listed: Iterable[str], version: int) -> list[Key]:
        """Remove the Jobs that are missing from a full list, and return their owners' keys; see `prune_resources`."""
        jobs = [job for owned in self._jobs.values() for job in owned.values()]
        unlisted = list(_unlisted(jobs, set(listed), version))
        for job in unlisted:
            self.remove_job(job)
        return [key for job in unlisted if (key := self.owner_key(job.owner_uid)) is not None]


def _unlisted(items: Iterable[T], listed: set[str], version: int) -> Iterator[T]:
    return (item for item in items if item.uid not in listed and item.version <= version)
