"""The phase transcribe: one shard of the plan, with the model loaded once."""

import logging
import threading
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from transcription_api import reasons
from transcription_api.report import Report
from transcription_api.spec import AudioSelection, Spec
from transcription_api.task import Task

from transcription_worker.batch.entries import Entry
from transcription_worker.batch.journal import (
    DEATHS_UNTIL_ALONE,
    History,
    Journal,
    in_announced_order,
    read_history,
)
from transcription_worker.batch.listing import SourceBuckets
from transcription_worker.batch.outcomes import Row, count_rows, failed_row, written_row
from transcription_worker.batch.result_buckets import ResultBuckets
from transcription_worker.batch.run_objects import RunObjects
from transcription_worker.batch.shard_files import ShardInput, ShardSource, shard_input
from transcription_worker.engines.protocol import Options
from transcription_worker.errors import WorkerError
from transcription_worker.paths import Paths
from transcription_worker.pipeline.audio_wait import share_of
from transcription_worker.pipeline.engine_loader import EngineLoader
from transcription_worker.pipeline.listener import PipelineListener
from transcription_worker.pipeline.pipeline import Pipeline, PipelineOptions
from transcription_worker.pipeline.report import Provenance
from transcription_worker.pipeline.s3_sink import S3Sink
from transcription_worker.pipeline.sink import EngineUsed, Transcription
from transcription_worker.progress import ProgressTracker
from transcription_worker.termination import called_on_interrupt

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class ShardWork:
    """What a shard needs beside its files: how to reach the buckets, the engine, and what is asked of it."""

    spec: Spec
    paths: Paths
    loader: EngineLoader
    options_of: Callable[[Spec], Options]
    find_provenance: Callable[[], Provenance]


def transcribe_shard(
    task: Task, work: ShardWork, shard: int, tracker: ProgressTracker, known: dict[str, object]
) -> Report:
    """Transcribe the files of a shard that no earlier pod has settled, and return the account of all of them.

    A failure of a file is its row in the account. `known` collects fields of the report as they become known.

    Raises:
        WorkerError: what concerns every file: PlanMissing, ModelNotFound, DestinationDenied and so on; or, while there are
            retries left, the first transient failure of a file, so that the shard is tried again.
    """
    objects = RunObjects(task, work.spec, work.paths)
    plan = objects.require_plan()
    entries = objects.read_shard(plan.folder, shard)
    history = read_history(objects, shard)
    final = history.pods >= work.spec.retries
    journal = Journal(objects, shard, history.pods)
    listener = ShardListener(tracker, known, journal)
    for row in history.settled.values():
        if not _is_worth_retrying(row):
            listener.keep(row)
    with called_on_interrupt(journal.end):
        run = _ShardRun(task.uid, work, journal, listener, history)
        try:
            run.transcribe([entry for entry in entries if entry.number not in listener.settled])
        finally:
            journal.end()  # a GPU that has failed is no death of which files are suspected
    return _report(journal, final)


def _report(journal: Journal, final: bool) -> Report:
    rows = journal.rows
    transient = [row for row in rows if _is_worth_retrying(row)]
    if transient and not final:
        first = transient[0]
        message = f"{len(transient)} of {len(rows)} files: {first.key!r}: {first.message}"
        raise WorkerError(reasons.BY_NAME[first.reason or ""], message)
    return Report(files=count_rows(rows), audio_seconds=round(sum(row.audio_seconds or 0.0 for row in rows), 3))


def _is_worth_retrying(row: Row) -> bool:
    """Whether another pod may succeed with the file. One that has changed since the plan stays another one."""
    reason = reasons.BY_NAME.get(row.reason or "")
    return row.failed and reason is not None and not reason.permanent and reason is not reasons.SOURCE_CHANGED


class _ShardRun:
    """The pipelines of one pod: of the suspects one by one, and of all others together."""

    def __init__(
        self, uid: str, work: ShardWork, journal: Journal, listener: "ShardListener", history: History
    ) -> None:
        self._work, self._journal, self._listener, self._history = work, journal, listener, history
        self._buckets = SourceBuckets(work.spec, work.paths)
        results = ResultBuckets(work.spec, work.paths, check_writes=False)
        self._sink = S3Sink(work.spec, results.of, work.find_provenance, uid)

    def transcribe(self, entries: list[Entry]) -> None:
        suspects = self._history.suspects if self._history.deaths >= DEATHS_UNTIL_ALONE else ()
        for entry in [entry for entry in entries if entry.number in suspects]:
            self._transcribe_suspect(entry)
        others = [entry for entry in entries if entry.number not in suspects]
        self._run([self._input(entry) for entry in others], announce=True)

    def _transcribe_suspect(self, entry: Entry) -> None:
        item = self._input(entry)
        if entry.number == self._history.culprit:
            message = f"{entry.key!r}: {self._history.deaths} workers died, the last of them with this file alone"
            self._listener.set_aside(item, WorkerError(reasons.WORKER_CRASHED, message))
            return
        self._journal.announce([entry.number], alone=True)
        self._run([item], announce=False)
        self._journal.flush()

    def _run(self, items: list[ShardInput], announce: bool) -> None:
        if not items:
            return
        by_number = {item.entry.number: item for item in items}
        entries = [item.entry for item in items]
        listed = (
            (by_number[entry.number] for entry in in_announced_order(entries, self._journal)) if announce else items
        )
        spec = self._work.spec
        self._listener.begin()
        Pipeline(
            ShardSource(listed, self._buckets),
            self._sink,
            self._work.loader,
            PipelineOptions(self._work.options_of(spec), spec.audio, self._work.paths.scratch, self._options_of),
            self._listener,
        ).run()

    def _options_of(self, item: ShardInput) -> tuple[Options, AudioSelection]:
        return self._work.options_of(item.spec), item.spec.audio

    def _input(self, entry: Entry) -> ShardInput:
        """A pod that died may have written results of which it left no row."""
        return shard_input(self._work.spec, entry, entry.found or self._history.pods > 0)


class ShardListener(PipelineListener[ShardInput]):
    """Makes a row of every file's outcome, and keeps the progress that the operator asks for."""

    def __init__(self, tracker: ProgressTracker, known: dict[str, object], journal: Journal) -> None:
        self._tracker, self._known, self._journal = tracker, known, journal
        self._lock = threading.Lock()
        self._done = self._failed = 0
        self._base = self._count = 0
        self.settled: set[int] = set()

    def begin(self) -> None:
        """Say that a pipeline begins: it numbers its files from 0 again."""
        self._base += self._count
        self._count = 0

    def keep(self, row: Row) -> None:
        """Take over the row of an earlier pod."""
        self._count_row(row)
        self._journal.keep(row)

    def set_aside(self, item: ShardInput, error: WorkerError) -> None:
        """Give up a file without trying it."""
        self._settle(failed_row(item.entry, error))

    def _settle(self, row: Row) -> None:
        self._count_row(row)
        self._journal.settle(row)

    def _count_row(self, row: Row) -> None:
        with self._lock:
            self.settled.add(row.number)
            self._failed += row.failed
            self._done += not row.failed
            self._tracker.update(files_done=self._done, files_failed=self._failed)

    def stage_entered(self, stage: str) -> None:
        self._tracker.enter_stage(stage)

    def input_decoded(self, number: int, seconds: Sequence[float]) -> None:  # noqa: ARG002 - the progress is of all
        self._tracker.add_total(sum(seconds))

    def engine_loaded(self, engine: EngineUsed) -> None:
        self._known["engine"] = engine.name
        self._journal.start_clock()

    def audio_waited(self, waited: float, seconds: float) -> None:
        self._journal.waited_seconds = waited
        self._known["audio_wait_share"] = share_of(waited, seconds)

    def track_advanced(self, number: int, track: int, seconds: float) -> None:
        self._count = max(self._count, number + 1)
        self._tracker.advance(seconds, track, self._base + number)

    def input_reused(self, number: int, item: ShardInput, report: Report) -> None:  # noqa: ARG002
        self._settle(written_row(item.entry, report))

    def input_written(
        self,
        number: int,  # noqa: ARG002
        item: ShardInput,
        transcription: Transcription,
        report: Report,
    ) -> None:
        if transcription.engine_warnings:
            self._known["warnings"] = transcription.engine_warnings
        self._settle(written_row(item.entry, report))

    def input_failed(self, number: int, item: ShardInput, error: WorkerError) -> None:  # noqa: ARG002
        self._settle(failed_row(item.entry, error))
