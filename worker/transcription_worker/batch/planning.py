"""The phase plan: which files there are, what is done already, and how the rest is divided. No model and no GPU."""

import dataclasses
import logging
import secrets
from collections import defaultdict
from collections.abc import Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor

from transcription_api import layout, reasons
from transcription_api.report import PlanSummary, Report
from transcription_api.spec import Rerun, Spec
from transcription_api.task import Task

from transcription_worker.batch.entries import Entry, encode_lines, entry_spec
from transcription_worker.batch.existing_objects import existing_keys
from transcription_worker.batch.listing import Found, find_files
from transcription_worker.batch.outcomes import Row, count_reasons, count_rows, refused_row, written_row
from transcription_worker.batch.result_conflicts import without_conflicts
from transcription_worker.batch.run_objects import JSON_LINES, Plan, RunObjects
from transcription_worker.batch.sharding import count_shards, divide, expected_work
from transcription_worker.batch.speeds import expected_speed
from transcription_worker.errors import WorkerError
from transcription_worker.model import find_model_version
from transcription_worker.paths import Paths
from transcription_worker.pipeline.report import Provenance, worker_version
from transcription_worker.pipeline.s3_report import read_report
from transcription_worker.pipeline.s3_sink import try_destination, try_key, whole_result
from transcription_worker.progress import ProgressTracker

log = logging.getLogger(__name__)

# Earlier results that are looked at at the same time.
READERS = 16


def plan_files(task: Task, spec: Spec, paths: Paths, tracker: ProgressTracker) -> Report:
    """Freeze the plan of the run, or return the summary of the one that is frozen already.

    Raises:
        WorkerError: NothingToDo, TooManyFiles, ManifestInvalid, AccessDenied, DestinationDenied and so on.
    """
    objects = RunObjects(task, spec, paths)
    plan = objects.find_plan()
    if plan is None:
        try_key(objects.bucket, objects.key("trial"))
        plan = objects.freeze(_make_plan(spec, paths, objects, tracker))
    summary = plan.summary
    log.info(
        "plan: %d files, %d to transcribe in %d shards, %d skipped",
        summary.files,
        summary.to_transcribe,
        summary.shards,
        summary.skipped,
    )
    return Report(plan=summary)


def _make_plan(spec: Spec, paths: Paths, objects: RunObjects, tracker: ProgressTracker) -> Plan:
    found = find_files(spec, paths, lambda count: tracker.update(files_done=count))
    entries, refused = without_conflicts(spec, found.entries)
    entries, denied = _without_denied_buckets(spec, entries, objects)
    entries, reused = _without_results(spec, entries, paths, objects)
    settled = [*found.failed, *refused, *denied, *reused]
    if not entries and not settled and not spec.source.s3.allow_empty:
        raise WorkerError(reasons.NOTHING_TO_DO, _nothing(spec, found))
    folder = f"plan-{secrets.token_hex(4)}"
    speed = expected_speed(spec, objects.bucket)
    shards = _divide(spec, entries, speed)
    for number, shard in enumerate(shards):
        objects.write_shard(folder, number, shard)
    objects.write(f"{folder}/settled.jsonl", encode_lines(settled), JSON_LINES)
    objects.write(f"{folder}/skipped.jsonl", encode_lines(_skipped(found)), JSON_LINES)
    return Plan(folder, _summary(spec, found, entries, settled, len(shards), speed), speed)


def _divide(spec: Spec, entries: list[Entry], speed: float) -> list[list[Entry]]:
    if not entries:
        return []
    work = [expected_work(entry.seconds) for entry in entries]
    return divide(entries, work, count_shards(sum(work), len(entries), spec.shard.minutes, speed))


def _skipped(found: Found) -> Iterator[dict[str, str]]:
    return ({"key": key, "rule": rule} for rule, key in found.skipped)


def _nothing(spec: Spec, found: Found) -> str:
    source = spec.source.s3
    where = f"prefix {source.prefix!r}" if source.prefix is not None else f"manifest {source.manifest!r}"
    rules = ", ".join(f"{count} by {rule}" for rule, count in found.skipped_by.most_common())
    return f"spec.source.s3: {where} in bucket {source.bucket!r} names no file; skipped: {rules or 'none'}"


def _summary(
    spec: Spec, found: Found, entries: list[Entry], settled: list[Row], shards: int, speed: float
) -> PlanSummary:
    counts = count_rows(settled)
    work = sum(expected_work(entry.seconds) for entry in entries)
    cost = spec.cost_per_gpu_hour
    seconds = spec.device.gpus * work / speed  # of GPUs: the speed is that of a pod
    return PlanSummary(
        files=len(entries) + len(settled),
        to_transcribe=len(entries),
        shards=shards,
        reused=counts.reused,
        refused=counts.failed,
        skipped=len(found.skipped),
        skipped_by=count_reasons(found.skipped_by),
        bytes=sum(entry.size for entry in entries),
        audio_seconds=round(sum(entry.seconds for entry in entries), 3),
        estimated_seconds=round(seconds, 1),
        estimated_cost=None if cost is None else round(cost * seconds / 3600, 2),
    )


def _without_denied_buckets(spec: Spec, entries: list[Entry], objects: RunObjects) -> tuple[list[Entry], list[Row]]:
    """Leave out files whose results would lie in a bucket of their own that cannot be written to. The run's own was tried."""
    refused: dict[str, WorkerError] = {}
    specs = {entry.number: entry_spec(spec, entry) for entry in entries}
    first = {own.destination.s3.bucket: own for own in reversed(specs.values())}
    for name in first.keys() - {spec.destination.s3.bucket}:
        try:
            try_destination(objects.results.named(name), first[name])
        except WorkerError as error:
            if not error.reason.permanent:
                raise
            refused[name] = error
    buckets = {number: own.destination.s3.bucket for number, own in specs.items()}
    good = [entry for entry in entries if buckets[entry.number] not in refused]
    return good, [
        refused_row(entry, refused[buckets[entry.number]]) for entry in entries if buckets[entry.number] in refused
    ]


# --- what is done already


def _without_results(
    spec: Spec, entries: list[Entry], paths: Paths, objects: RunObjects
) -> tuple[list[Entry], list[Row]]:
    """Leave out the files whose results are there, whole and of the same source, options, model and worker."""
    reports = _existing_reports(spec, entries, objects)
    marked = [dataclasses.replace(entry, found=True) if entry.number in reports else entry for entry in entries]
    if spec.rerun is Rerun.FORCE or not reports:
        return marked, []
    provenance = Provenance(find_model_version(spec.model, paths), worker_version())
    with ThreadPoolExecutor(READERS, thread_name_prefix="result") as threads:
        rows = list(threads.map(lambda entry: _earlier_result(spec, entry, objects, provenance), marked))
    left = [entry for entry, row in zip(marked, rows, strict=True) if row is None]
    return left, [row for row in rows if row is not None]


def _existing_reports(spec: Spec, entries: Iterable[Entry], objects: RunObjects) -> set[int]:
    """The numbers of the files at whose report's key something lies."""
    wanted: dict[str, dict[str, int]] = defaultdict(dict)
    for entry in entries:
        own = entry_spec(spec, entry)
        wanted[own.destination.s3.bucket][layout.report_key(own)] = entry.number
    return {keys[key] for name, keys in wanted.items() for key in existing_keys(objects.results.named(name), keys)}


def _earlier_result(spec: Spec, entry: Entry, objects: RunObjects, provenance: Provenance) -> Row | None:
    if not entry.found:
        return None
    own = entry_spec(spec, entry)
    bucket = objects.results.of(own)
    committed = whole_result(bucket, own, entry.etag, read_report(bucket, own), provenance)
    if committed is None:
        return None
    return written_row(entry, dataclasses.replace(committed.report, reused=True))
