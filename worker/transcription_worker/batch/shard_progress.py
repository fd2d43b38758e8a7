"""How far a pod is with its shard: for the operator, which asks, and for the journal in S3."""

import threading
from typing import Any

from transcription_worker.batch.journal import Journal
from transcription_worker.batch.outcomes import Row
from transcription_worker.pipeline.audio_wait import share_of
from transcription_worker.progress import ProgressTracker


class ShardProgress:
    """Sums up what all engines of the pod tell. Methods are called from several threads; files are named by their number."""

    def __init__(self, tracker: ProgressTracker, known: dict[str, object], journal: Journal, engines: int) -> None:
        self._tracker, self._known, self._journal, self._engines = tracker, known, journal, engines
        self._lock = threading.Lock()
        self._done = self._failed = 0
        self._decoded: set[int] = set()
        self._resumed: dict[int, float] = {}  # seconds that pods before have transcribed of files under way
        self._entered: dict[str, set[int]] = {}  # engines, by the stage that they have entered
        self._waited: dict[int, tuple[float, float]] = {}  # seconds, and seconds in all, by the engine
        self.settled: set[int] = set()

    def keep(self, row: Row) -> None:
        """Take over the row of an earlier pod."""
        self._count(row)
        self._journal.keep(row)

    def settle(self, row: Row) -> None:
        """Keep the row of a file of this pod."""
        self._count(row)
        self._journal.settle(row, self._resumed.pop(row.number, 0.0))
        self._tracker.end(row.number)

    def _count(self, row: Row) -> None:
        with self._lock:
            self.settled.add(row.number)
            self._failed += row.failed
            self._done += not row.failed
            self._tracker.update(files_done=self._done, files_failed=self._failed)

    def enter_stage(self, engine: int, stage: str) -> None:
        """Tell a stage when the first engine enters it; of the last one, write, when the last engine does."""
        with self._lock:
            entered = self._entered.setdefault(stage, set())
            known = len(entered)
            entered.add(engine)
            wanted = self._engines if stage == "write" else 1
            if known < wanted == len(entered):
                self._tracker.enter_stage(stage)

    def decoded(self, number: int, seconds: float) -> None:
        """Add a file to what is to be transcribed, once, however often it is decoded."""
        with self._lock:
            if number not in self._decoded:
                self._decoded.add(number)
                self._tracker.add_total(seconds)

    def advanced(self, number: int, track: int, seconds: float) -> None:
        """Set how many seconds of a track are transcribed."""
        if number not in self.settled:
            self._tracker.advance(seconds, track, number)

    def resumed(self, number: int, seconds: float) -> None:
        """Leave seconds that a pod before has transcribed out of the speed of this one."""
        self._resumed[number] = max(seconds, self._resumed.get(number, 0.0))
        self._tracker.resume(seconds)

    def waited(self, engine: int, waited: float, seconds: float) -> None:
        """Sum up how long the GPUs have waited for audio. The journal counts the pod's seconds, and not those of each GPU."""
        with self._lock:
            self._waited[engine] = (waited, seconds)
            every_waited, every = (sum(values) for values in zip(*self._waited.values(), strict=True))
            self._journal.waited_seconds = every_waited / self._engines
            self._known["audio_wait_share"] = share_of(every_waited, every)

    def know(self, **fields: Any) -> None:
        """Keep fields of the report. The clock of the pod's speed starts with the first engine."""
        with self._lock:
            self._known.update(fields)
        if "device" in fields:
            self._tracker.update(device=fields["device"])
        if "engine" in fields:
            self._journal.start_clock()
