"""The buckets of a run's results: one, or with results beside their sources one for each bucket of a source."""

import dataclasses
import threading

from transcription_api.spec import Spec

from transcription_worker.paths import Paths
from transcription_worker.storage.bucket import Bucket
from transcription_worker.storage.roles import Role


class ResultBuckets:
    """Buckets by their names, all reached as the destination is. Methods are called from several threads.

    `check_writes` is that of `Bucket`.
    """

    def __init__(self, spec: Spec, paths: Paths, check_writes: bool = True) -> None:
        self._endpoint, self._paths, self._check_writes = spec.destination.s3, paths, check_writes
        self._buckets: dict[str, Bucket] = {}
        self._lock = threading.Lock()

    def of(self, own: Spec) -> Bucket:
        """Return the bucket of a file's results. `own` is the spec that the file would have alone."""
        return self.named(own.destination.s3.bucket)

    def named(self, name: str) -> Bucket:
        """Return a bucket by its name."""
        with self._lock:
            if name not in self._buckets:
                endpoint = dataclasses.replace(self._endpoint, bucket=name)
                self._buckets[name] = Bucket(endpoint, Role.DESTINATION, self._paths, self._check_writes)
            return self._buckets[name]
