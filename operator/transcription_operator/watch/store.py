"""The latest known resources and Jobs, fed by watches, lists and the answers to our own writes. Never goes back in time."""

from collections.abc import Callable, Iterable, Iterator
from typing import TypeVar

from transcription_operator.models.objects import JobView, Key, Resource

T = TypeVar("T", Resource, JobView)


class Store:
    """For one event loop. `on_resource` hears of each change: old and new, None for absent."""

    def __init__(
        self, on_resource: Callable[[Resource | None, Resource | None], None] = lambda _old, _new: None
    ) -> None:
        self._resources: dict[Key, Resource] = {}
        self._keys: dict[str, Key] = {}  # by uid
        self._jobs: dict[str, dict[str, JobView]] = {}  # by the owner's uid and the Job's
        self._deleted: set[str] = set()  # uids, since the last list began
        self._on_resource = on_resource

    def __len__(self) -> int:
        return len(self._resources)

    def resource(self, key: Key) -> Resource | None:
        return self._resources.get(key)

    def jobs(self, uid: str) -> tuple[JobView, ...]:
        """The Jobs of a resource, by ordinal."""
        return tuple(sorted(self._jobs.get(uid, {}).values(), key=lambda job: job.ordinal))

    def put_resource(self, resource: Resource) -> bool:
        """Whether it was news."""
        old = self._resources.get(resource.key)
        if resource.uid in self._deleted or (old is not None and old.version >= resource.version):
            return False
        if old is not None and old.uid != resource.uid:
            self._keys.pop(old.uid, None)
        self._resources[resource.key] = resource
        self._keys[resource.uid] = resource.key
        self._on_resource(old, resource)
        return True

    def drop_resource(self, resource: Resource) -> None:
        """It was deleted; a namesake that came after it stays."""
        self._deleted.add(resource.uid)
        old = self._resources.get(resource.key)
        if old is not None and old.uid == resource.uid:
            del self._resources[resource.key]
            self._keys.pop(resource.uid, None)
            self._on_resource(old, None)

    def put_job(self, job: JobView) -> bool:
        """Whether it was news. A Job without an owner is nobody's."""
        if job.owner_uid is None or job.uid in self._deleted:
            return False
        jobs = self._jobs.setdefault(job.owner_uid, {})
        old = jobs.get(job.uid)
        if old is not None and old.version >= job.version:
            return False
        jobs[job.uid] = job
        return True

    def drop_job(self, job: JobView) -> None:
        self._deleted.add(job.uid)
        jobs = self._jobs.get(job.owner_uid or "", {})
        jobs.pop(job.uid, None)
        if not jobs:
            self._jobs.pop(job.owner_uid or "", None)

    def key_of(self, uid: str | None) -> Key | None:
        """The resource that a Job belongs to."""
        return self._keys.get(uid or "")

    def begin_list(self) -> None:
        """Deletions from now on are remembered, so that a list that began earlier does not undo them."""
        self._deleted.clear()

    def prune_resources(self, listed: Iterable[str], version: int) -> list[Key]:
        """Drops what a whole list of that version lacks; returns the keys."""
        gone = list(_unlisted(self._resources.values(), set(listed), version))
        for resource in gone:
            self.drop_resource(resource)
        return [resource.key for resource in gone]

    def prune_jobs(self, listed: Iterable[str], version: int) -> list[Key]:
        """As prune_resources; returns the keys of the owners."""
        jobs = [job for owned in self._jobs.values() for job in owned.values()]
        gone = list(_unlisted(jobs, set(listed), version))
        for job in gone:
            self.drop_job(job)
        return [key for job in gone if (key := self.key_of(job.owner_uid)) is not None]


def _unlisted(items: Iterable[T], listed: set[str], version: int) -> Iterator[T]:
    return (item for item in items if item.uid not in listed and item.version <= version)
