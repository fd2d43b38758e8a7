"""The phase collect: every result is looked for, and the account of all files is written."""

import csv
import dataclasses
import io
import json
import logging
from collections.abc import Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor

from transcription_api import layout, reasons
from transcription_api.codec import to_json
from transcription_api.report import PlanSummary, Report
from transcription_api.spec import Spec
from transcription_api.task import Task

from transcription_worker.batch.entries import Entry, Overrides, encode_lines, entry_spec
from transcription_worker.batch.existing_objects import find_object
from transcription_worker.batch.journal import read_history
from transcription_worker.batch.outcomes import FAILED, Row, count_rows, failed_row, written_row
from transcription_worker.batch.run_objects import CSV, JSON, JSON_LINES, RunObjects
from transcription_worker.batch.speeds import remember_speed
from transcription_worker.batch.user_manifest import ManifestLine
from transcription_worker.errors import WorkerError
from transcription_worker.paths import Paths
from transcription_worker.pipeline.audio_wait import audio_wait_warning, share_of
from transcription_worker.pipeline.s3_checkpoints import CHECKPOINTS_FOLDER, delete_checkpoints
from transcription_worker.pipeline.s3_report import read_report
from transcription_worker.progress import ProgressTracker

log = logging.getLogger(__name__)

MORE_CPU = "more in spec.device.resources.requests.cpu lets more files be decoded at a time"
# Results that are looked for at the same time.
READERS = 32
COLUMNS = ("key", "bucket", "reference", "outcome", "reason", "message", "audioSeconds", "language", "words", "verdict")
# What a spreadsheet would take for a formula: https://owasp.org/www-community/attacks/CSV_Injection
FORMULA = ("=", "+", "-", "@", "\t", "\r")


def collect_files(task: Task, spec: Spec, paths: Paths, tracker: ProgressTracker) -> Report:
    """Look for every result of every file, and write report.csv, failed.jsonl and, last, report.json.

    Raises:
        WorkerError: PlanMissing, DestinationDenied, EndpointUnreachable and so on.
    """
    objects = RunObjects(task, spec, paths)
    plan = objects.require_plan()
    entries: dict[int, Entry] = {}
    rows: dict[int, Row] = {row.number: row for row in objects.settled(plan.folder)}
    audio = busy = waited = 0.0
    for shard in range(plan.summary.shards):
        listed, history = objects.read_shard(plan.folder, shard), read_history(objects, shard)
        entries |= {entry.number: entry for entry in listed}
        rows |= _shard_rows(spec, objects, task.uid, listed, history.settled)
        audio, busy = audio + history.audio_seconds, busy + history.busy_seconds
        waited += history.waited_seconds
        tracker.update(files_done=len(rows))
    remember_speed(spec, objects.bucket, audio, busy)
    ordered = [rows[number] for number in sorted(rows)]
    report = _sum_up(ordered, plan.summary, busy, waited)
    return _write_account(task, objects, plan.summary, ordered, entries, report)


def _shard_rows(
    spec: Spec, objects: RunObjects, uid: str, entries: list[Entry], settled: dict[int, Row]
) -> dict[int, Row]:
    with ThreadPoolExecutor(READERS, thread_name_prefix="check") as threads:
        checked = threads.map(lambda entry: _checked(spec, objects, uid, entry, settled.get(entry.number)), entries)
        return {row.number: row for row in checked}


def _checked(spec: Spec, objects: RunObjects, uid: str, entry: Entry, row: Row | None) -> Row:
    """Return the row of a file, failed unless each of its results is in the bucket as it was written.

    Two pods may have written it, where nobody heard of the node of one: the report then says whose results lie there.
    """
    own = entry_spec(spec, entry)
    first = _unrecorded(own, objects, uid, entry) if row is None else row
    if first.failed or (problem := _problem(own, objects, first)) is None:
        return first
    second = first if row is None else _unrecorded(own, objects, uid, entry)
    if not second.failed and _problem(own, objects, second) is None:
        return second
    return failed_row(entry, WorkerError(reasons.RESULT_MISSING, problem))


def _problem(own: Spec, objects: RunObjects, row: Row) -> str | None:
    """Say what is wrong with the results of a row, or None if they are there as it says."""
    for written in row.objects:
        key = layout.result_key(own, written.format, written.channel)
        found = find_object(objects.results.of(own), key)
        if found is None or (found.size, found.etag) != (written.size, written.etag):
            seen = "gone" if found is None else f"another object, of {found.size} bytes"
            return f"{key!r} was written and is {seen}"
    wanted = len(set(own.formats)) * (row.channels or 1)
    return None if len(row.objects) == wanted else f"got {len(row.objects)} results, expected {wanted}"


def _unrecorded(own: Spec, objects: RunObjects, uid: str, entry: Entry) -> Row:
    """Return the row of a file that no pod has left one of: its report may be there all the same.

    Where the plan found a report already, it may be that one, of another model, or one that was to be made anew, unless it
    names this resource.
    """
    found = read_report(objects.results.of(own), own)
    committed = None if found is None else found.committed
    if committed is None or (entry.found and committed.written_by != uid):
        return _not_transcribed(entry)
    if committed.report.source_etag != entry.etag or committed.fingerprint != layout.fingerprint(own):
        return _not_transcribed(entry)
    return written_row(entry, committed.report)


def _not_transcribed(entry: Entry) -> Row:
    return failed_row(entry, WorkerError(reasons.NOT_TRANSCRIBED, f"{entry.key!r}: no pod has come to its end with it"))


def _sum_up(rows: list[Row], plan: PlanSummary, busy: float, waited: float) -> Report:
    """Return the report. All pods together had an engine for `busy` seconds; their GPUs `waited` for audio in some of them."""
    done = [row for row in rows if not row.failed]
    warning = audio_wait_warning(waited, busy, MORE_CPU)
    return Report(
        files=count_rows(rows, plan.skipped),
        audio_seconds=round(sum(row.audio_seconds or 0.0 for row in done), 3),
        wall_seconds=round(busy, 3) or None,
        audio_wait_share=share_of(waited, busy) if waited else None,
        words=sum(row.words or 0 for row in done),
        warnings=None if warning is None else (warning,),
    )


def _write_account(
    task: Task, objects: RunObjects, plan: PlanSummary, rows: list[Row], entries: dict[int, Entry], report: Report
) -> Report:
    objects.write("report.csv", _csv(rows), CSV)
    objects.write("failed.jsonl", encode_lines(_retry_lines(rows, entries)), JSON_LINES)
    account = {"name": task.name, "uid": task.uid, "plan": to_json(plan), "report": to_json(report)}
    files = [to_json(dataclasses.replace(row, overrides=None)) for row in rows]
    body = json.dumps(account | {"files": files}, ensure_ascii=False, allow_nan=False, indent=1).encode(
        errors="replace"
    )
    objects.write(layout.ACCOUNT_NAME, body + b"\n", JSON)
    log.info("%d of %d files have their results", sum(not row.failed for row in rows), len(rows))
    # Those of files that failed, and of workers of which nobody has heard again.
    delete_checkpoints(objects.bucket, [objects.key(name) for name in objects.names(CHECKPOINTS_FOLDER)])
    return report


def _csv(rows: Iterable[Row]) -> bytes:
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(COLUMNS)
    for row in rows:
        fields = to_json(row)
        writer.writerow([_cell(fields.get(name)) for name in COLUMNS])
    return text.getvalue().encode(errors="replace")


def _cell(value: object) -> object:
    """Return a text with an apostrophe before it where a spreadsheet would run it."""
    return f"'{value}" if isinstance(value, str) and value.startswith(FORMULA) else value


def _retry_lines(rows: Iterable[Row], entries: dict[int, Entry]) -> Iterator[ManifestLine]:
    """Return the failed files as the manifest of a next run, each with the fields that it had in this one."""
    for row in rows:
        if row.outcome == FAILED:
            entry = entries.get(row.number)
            overrides = entry.overrides if entry is not None else row.overrides or Overrides()
            yield ManifestLine(key=row.key, bucket=row.bucket, reference=row.reference, **vars(overrides))
