"""The files of a shard as inputs of the pipeline, each with the spec that it would have alone."""

import threading
from collections.abc import Iterable
from contextlib import AbstractContextManager
from dataclasses import dataclass
from pathlib import Path

from transcription_api.spec import Spec

from transcription_worker.batch.entries import Entry, entry_spec
from transcription_worker.batch.listing import SourceBuckets
from transcription_worker.pipeline.s3_source import S3Input, fetch_object
from transcription_worker.pipeline.source import InputVersion


@dataclass(frozen=True, kw_only=True)
class ShardInput(S3Input):
    """One file of a shard. `spec` is the one that would transcribe it alone."""

    entry: Entry
    spec: Spec

    @property
    def number(self) -> int:
        """The number in the plan."""
        return self.entry.number

    def own_spec(self, spec: Spec) -> Spec:  # noqa: ARG002 - the resource's spec, which this one was made of
        """See `S3Input.own_spec`."""
        return self.spec


def shard_input(spec: Spec, entry: Entry, may_have_results: bool) -> ShardInput:
    """Return the input of a file of the plan."""
    own = entry_spec(spec, entry)
    return ShardInput(location=own.source.s3.object(), may_have_results=may_have_results, entry=entry, spec=own)


class ShardSource:
    """The files of a shard. What the plan knows of a file is not asked for again."""

    def __init__(self, inputs: Iterable[ShardInput], buckets: SourceBuckets) -> None:
        self._inputs, self._buckets = inputs, buckets
        self._lock = threading.Lock()

    def inputs(self) -> Iterable[ShardInput]:
        """See `Source.inputs`."""
        return self._inputs

    def stat(self, item: ShardInput) -> InputVersion:
        """Return what the plan says: a file that has changed since is SourceChanged when it is fetched."""
        return InputVersion(item.entry.etag, item.entry.size, item.entry.size)

    def fetch(self, item: ShardInput, version: InputVersion, folder: Path) -> AbstractContextManager[Path]:
        """See `pipeline.s3_source.fetch_object`."""
        with self._lock:
            bucket = self._buckets.of(item.entry.bucket)
        return fetch_object(bucket, item.name, version, folder)
