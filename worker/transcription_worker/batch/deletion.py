"""The phase delete: the results that a resource wrote are deleted, and nothing else.

Whose results lie at a key, the report there says: it has the uid of the resource that wrote it, and the ETag of each result.
So results that another resource wrote or replaced stay, and so do those that this one found and reused.
"""

import logging
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import partial

from transcription_api import layout, reasons
from transcription_api.report import Report
from transcription_api.spec import Spec
from transcription_api.task import Task

from transcription_worker.batch.entries import entry_spec
from transcription_worker.batch.existing_objects import find_object
from transcription_worker.batch.journal import SHARDS_FOLDER
from transcription_worker.batch.result_buckets import ResultBuckets
from transcription_worker.batch.run_objects import RunObjects
from transcription_worker.errors import WorkerError
from transcription_worker.paths import Paths
from transcription_worker.pipeline.s3_report import parse_found
from transcription_worker.progress import ProgressTracker
from transcription_worker.storage.bucket import Bucket

log = logging.getLogger(__name__)

# Reports that are read at the same time, and files whose results are deleted together: with two formats each they fill a
# request.
READERS, FILES = 32, 500
# An object of the run that says that the results are deleted, so that what is left of the run need not be whole any more.
MARKER = "results-deleted"
DELETE_ADVICE = "to delete results the credentials need s3:GetObject, s3:DeleteObject and s3:ListBucket"


@dataclass(frozen=True)
class _Written:
    """What the resource wrote for one file: keys of results that are still as it left them, and of their report."""

    results: tuple[str, ...] = ()
    report: str | None = None
    changed: int = 0  # results that somebody has changed since


def delete_results(task: Task, spec: Spec, paths: Paths, tracker: ProgressTracker) -> Report:
    """Delete the results that the resource wrote, and then the objects of its run. Doing it twice changes nothing.

    Raises:
        WorkerError: PlanMissing, DestinationDenied, EndpointUnreachable and so on. Nothing that was not the resource's is
            deleted by then.
    """
    try:
        _delete(task, spec, RunObjects(task, spec, paths), tracker)
    except WorkerError as error:
        if error.reason is not reasons.DESTINATION_DENIED:
            raise
        raise WorkerError(error.reason, f"{error.message}; {DELETE_ADVICE}") from error
    return Report()


def _delete(task: Task, spec: Spec, objects: RunObjects, tracker: ProgressTracker) -> None:
    if not spec.has_phases:
        _delete_written(task, [spec], objects.results)
        return
    names = objects.names("")
    if MARKER not in names:
        done = 0
        for shard in _shards(spec, objects, names):
            for begin in range(0, len(shard), FILES):
                _delete_written(task, shard[begin : begin + FILES], objects.results)
                tracker.update(files_done=(done := done + len(shard[begin : begin + FILES])))
        if names:
            objects.write(MARKER, b"", "text/plain")
    objects.bucket.delete_all([objects.key(name) for name in names if name != MARKER])
    objects.bucket.delete_all([objects.key(MARKER)] if names else [])
    log.info("deleted %d objects of the run", len(names))


def _shards(spec: Spec, objects: RunObjects, names: Sequence[str]) -> Iterator[list[Spec]]:
    """Return the files of each shard, each with the spec that it would have alone.

    A run that no pod has transcribed for may have no plan: it has written no results.
    """
    if "plan.json" not in names and not any(name.startswith(SHARDS_FOLDER) for name in names):
        return
    plan = objects.require_plan()
    for shard in range(plan.summary.shards):
        yield [entry_spec(spec, entry) for entry in objects.read_shard(plan.folder, shard)]


def _delete_written(task: Task, files: Sequence[Spec], buckets: ResultBuckets) -> None:
    """Delete results first and reports last, so that whoever goes on after a crash still knows whose results they are."""
    for name in sorted({own.destination.s3.bucket for own in files}):
        bucket, inside = buckets.named(name), [own for own in files if own.destination.s3.bucket == name]
        with ThreadPoolExecutor(READERS, thread_name_prefix="result") as threads:
            found = list(threads.map(partial(_find_written, task.uid, bucket), inside))
        bucket.delete_all([key for item in found for key in item.results])
        bucket.delete_all([item.report for item in found if item.report is not None])
        deleted, changed = sum(item.report is not None for item in found), sum(item.changed for item in found)
        log.info("deleted results of %d of %d files; %d results were changed and stay", deleted, len(found), changed)


def _find_written(uid: str, bucket: Bucket, own: Spec) -> _Written:
    body = _read_report(own, bucket)
    committed = parse_found(*body).committed if body is not None else None
    if committed is None or committed.written_by != uid:
        return _Written()
    results, changed = [], 0
    for item in committed.report.objects:
        key = layout.result_key(own, item.format, item.channel)
        found = find_object(bucket, key)
        if found is not None and (found.size, found.etag) == (item.size, item.etag):
            results.append(key)
        else:
            changed += found is not None
    return _Written(tuple(results), layout.report_key(own), changed)


def _read_report(own: Spec, bucket: Bucket) -> tuple[bytes, str | None] | None:
    """Read what lies at the report's key. A report that may not be read is a failure here: whose results stay is told."""
    try:
        return bucket.read(layout.report_key(own))
    except WorkerError as error:
        if error.reason is reasons.NO_SUCH_KEY:
            return None
        raise
