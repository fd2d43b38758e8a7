"""The engines of a pod over one queue of files: each in a thread, started again if its process dies."""

import logging
import threading
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from transcription_api import reasons

from transcription_worker.batch.entries import Entry
from transcription_worker.batch.feed import EngineDiedError, ShardEngine
from transcription_worker.batch.file_queue import FileQueue
from transcription_worker.batch.journal import ANNOUNCED, Journal
from transcription_worker.batch.outcomes import Row, failed_row
from transcription_worker.batch.pod_devices import PodDevices
from transcription_worker.batch.shard_progress import ShardProgress
from transcription_worker.errors import WorkerError

log = logging.getLogger(__name__)

# Deaths without a file that an engine came to the end of, after which it is not started again, and no file is blamed: so many
# are less likely to be at fault than the machine. A file takes two with others and one alone.
MOST_DEATHS_IN_A_ROW = 20
# What becomes of a file for what other files of the pod use up. Where it is taken alone there may be enough.
USED_UP = (reasons.NO_SPACE_LEFT.name, reasons.RESOURCES_EXHAUSTED.name)


@dataclass(frozen=True)
class PodState:
    """What the engines of a pod share. `stopped` is set once the pod is to end."""

    queue: FileQueue
    journal: Journal
    progress: ShardProgress
    devices: PodDevices
    stopped: threading.Event


class EngineGroup:
    """The engines of a pod. All end where one fails by itself."""

    def __init__(self, engines: Sequence[ShardEngine], pod: PodState) -> None:
        self._engines, self._pod = engines, pod
        self._failures: list[BaseException] = []
        self._lock = threading.Lock()

    def run(self, journal_alone: bool = False) -> None:
        """Return when no file is left, or the pod is to end. `journal_alone` says that the queue has files to take alone only.

        Raises:
            WorkerError: what concerns every file, by the number of the GPU if it is about one of several.
        """
        if len(self._engines) == 1:
            self._run_engine(0, journal_alone)
            return
        threads = [
            threading.Thread(target=self._watch, args=(number,), name=f"engine-{number}", daemon=True)
            for number in range(len(self._engines))
        ]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        if self._failures:
            raise self._failures[0]

    def _watch(self, number: int) -> None:
        try:
            self._run_engine(number, journal_alone=False)
        except BaseException as error:  # noqa: BLE001 - raised again in the thread that started this one
            with self._lock:
                self._failures.append(error)
            self._pod.devices.give_up()
            for engine in self._engines:
                engine.stop()

    def _run_engine(self, number: int, journal_alone: bool) -> None:
        feed = _EngineFeed(number, self._pod, journal_alone)
        while True:
            try:
                self._engines[number].run(feed)
                feed.believe()
                return
            except EngineDiedError as death:
                if self._failures or self._pod.stopped.is_set():
                    return  # another engine has failed, and this one was stopped, or the pod is to end
                feed.lose(death)
            except WorkerError as error:
                raise self._pod.devices.named(number, error) from error


class _EngineFeed:
    """Implements `feed.Feed` for one engine. `journal_alone` says that no other engine of the pod is at work."""

    def __init__(self, engine: int, pod: PodState, journal_alone: bool) -> None:
        self._engine, self._pod, self._journal_alone = engine, pod, journal_alone
        self._blamed: list[Row] = []

    def take(self) -> Entry | None:
        if self._pod.devices.is_spare(self._engine) or self._pod.stopped.is_set():
            return None
        following = self._pod.queue.next_of(self._engine, ANNOUNCED)
        entry = self._pod.queue.take(self._engine)
        if entry is not None and self._journal_alone:
            self._pod.journal.announce_alone(entry.number, self._pod.queue.alone)
        elif entry is not None:
            self._pod.journal.announce(entry.number, following)
        return entry

    def settle(self, row: Row) -> None:
        if row.reason in USED_UP and self._pod.devices.count > 1 and self._pod.queue.postpone(self._engine, row.number):
            log.warning("%s: %s: it is taken again, alone", row.key, row.message)
            return
        self._pod.queue.settle(self._engine, row.number)
        self.believe()
        self._pod.progress.settle(row)
        if self._journal_alone:
            self._pod.journal.flush()

    def enter_stage(self, stage: str) -> None:
        self._pod.progress.enter_stage(self._engine, stage)

    def decoded(self, number: int, seconds: float) -> None:
        self._pod.progress.decoded(number, seconds)

    def advanced(self, number: int, track: int, seconds: float) -> None:
        self._pod.progress.advanced(number, track, seconds)

    def resumed(self, number: int, seconds: float) -> None:
        self._pod.progress.resumed(number, seconds)

    def waited(self, waited: float, seconds: float) -> None:
        self._pod.progress.waited(self._engine, waited, seconds)

    def know(self, **fields: Any) -> None:
        if (device := fields.get("device")) is not None:
            fields["device"] = self._pod.devices.prove(self._engine, device)
        self._pod.progress.know(**fields)

    def lose(self, death: EngineDiedError) -> None:
        """Have the files that were under way taken again, without the one that the engine died of.

        Raises:
            WorkerError: no file was under way, or the engine has died too often in a row.
        """
        count, culprit = self._pod.queue.lose(self._engine)
        which = f" of GPU {self._engine + 1}" if self._pod.devices.count > 1 else ""
        log.warning("the process%s that transcribes %s with %d files under way", which, death, count)
        times = self._pod.queue.deaths_in_a_row(self._engine)
        if count == 0 or times >= MOST_DEATHS_IN_A_ROW:
            words = f"the process that transcribes {death}, " + (
                f"{times} times in a row" if count else "without a file"
            )
            reason = reasons.OUT_OF_MEMORY if death.was_killed else reasons.INTERNAL_ERROR
            raise self._pod.devices.named(self._engine, WorkerError(reason, words))
        if culprit is not None:
            log.warning("%r: the process died with this file alone, which is set aside", culprit.key)
            self._blamed.append(crashed_row(culprit, f"the process that transcribes {death} with this file alone"))
            if self._journal_alone:
                self.believe()  # pods have died of it too

    def believe(self) -> None:
        """Keep the rows of files that the engine died of: it came to the end of others, so that the machine is not at fault."""
        for row in self._blamed:
            self._pod.progress.settle(row)
        self._blamed.clear()


def crashed_row(entry: Entry, words: str) -> Row:
    """Return the row of a file that takes processes down."""
    return failed_row(entry, WorkerError(reasons.WORKER_CRASHED, f"{entry.key!r}: {words}"))
