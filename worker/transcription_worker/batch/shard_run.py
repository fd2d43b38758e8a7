"""The phase transcribe: one shard of the plan, by the engines of one pod."""

import dataclasses
import threading
from collections.abc import Sequence

from transcription_api import reasons
from transcription_api.report import Report
from transcription_api.spec import Spec
from transcription_api.task import Task

from transcription_worker.batch.engine_group import EngineGroup, PodState, crashed_row
from transcription_worker.batch.entries import Entry
from transcription_worker.batch.feed import ShardEngine
from transcription_worker.batch.file_queue import DEATHS_UNTIL_ALONE, FileQueue
from transcription_worker.batch.journal import History, Journal, read_history
from transcription_worker.batch.outcomes import Row, count_rows
from transcription_worker.batch.pod_devices import PodDevices
from transcription_worker.batch.run_objects import RunObjects
from transcription_worker.batch.shard_progress import ShardProgress
from transcription_worker.errors import WorkerError
from transcription_worker.paths import Paths
from transcription_worker.progress import ProgressTracker
from transcription_worker.termination import on_interrupt


def transcribe_shard(
    task: Task,
    spec: Spec,
    paths: Paths,
    engines: Sequence[ShardEngine],
    shard: int,
    tracker: ProgressTracker,
    known: dict[str, object],
) -> Report:
    """Transcribe the files of a shard that no earlier pod has settled, and return the account of all of them.

    A failure of a file is its row in the account. `known` collects fields of the report as they become known.

    Raises:
        WorkerError: what concerns every file: PlanMissing, ModelNotFound, DestinationDenied and so on; or, while there are
            retries left, the first transient failure of a file, so that the shard is tried again.
    """
    objects = RunObjects(task, spec, paths)
    plan = objects.require_plan()
    entries = objects.read_shard(plan.folder, shard)
    history = read_history(objects, shard)
    final = history.attempts >= spec.retries
    journal = Journal(objects, shard, history.pods)
    progress = ShardProgress(tracker, known, journal, len(engines))
    for row in history.settled.values():
        if not _is_worth_retrying(row):
            progress.keep(row)
    run = _ShardRun(engines, journal, progress, history)
    with on_interrupt(journal.interrupt), on_interrupt(run.save, run.finish, lambda: len(journal.rows) == len(entries)):
        try:
            run.transcribe([entry for entry in entries if entry.number not in progress.settled])
        finally:
            journal.end()  # a GPU that has failed is no death of which files are suspected
    if run.stopped and len(journal.rows) < len(entries):
        raise WorkerError(reasons.INTERRUPTED, f"{len(entries) - len(journal.rows)} of {len(entries)} files are left")
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
    """The work of one pod: the files that earlier pods are suspected to have died of one by one, and then all others."""

    def __init__(
        self, engines: Sequence[ShardEngine], journal: Journal, progress: ShardProgress, history: History
    ) -> None:
        self._engines, self._journal, self._progress, self._history = engines, journal, progress, history
        self._stopped = threading.Event()

    @property
    def stopped(self) -> bool:
        """Whether files may be left, since the pod is to end."""
        return self._stopped.is_set()

    def save(self) -> None:
        """Keep what is done of the files under way, and give out no more of them."""
        self._stopped.set()
        for engine in self._engines:
            engine.save()

    def finish(self, until: float) -> None:
        """Wait for the files that are nearly done; see `ShardEngine.finish`."""
        for engine in self._engines:
            engine.finish(until)

    def transcribe(self, entries: list[Entry]) -> None:
        history = self._history
        if history.pods > 0:  # a pod that died may have written results of which it left no row
            entries = [dataclasses.replace(entry, found=True) for entry in entries]
        suspects = history.suspects if history.deaths >= DEATHS_UNTIL_ALONE else ()
        alone = [entry for entry in entries if entry.number in suspects]
        for entry in [entry for entry in alone if entry.number == history.culprit]:
            words = f"{history.deaths} pods died, the last of them with this file alone"
            self._progress.settle(crashed_row(entry, words))
            alone.remove(entry)
        self._run(self._engines[:1], [], alone)
        self._journal.announce_all()
        self._run(self._engines, [entry for entry in entries if entry.number not in suspects], [])

    def _run(self, engines: Sequence[ShardEngine], entries: Sequence[Entry], alone: Sequence[Entry]) -> None:
        if (entries or alone) and not self.stopped:
            queue = FileQueue(entries, len(engines), alone)
            pod = PodState(queue, self._journal, self._progress, PodDevices(len(engines)), self._stopped)
            EngineGroup(engines, pod).run(journal_alone=bool(alone))
