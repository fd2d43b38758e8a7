"""The worker's phases in this process, with an engine that answers at once: what all but the engine costs."""

import resource
from dataclasses import dataclass, field
from typing import Any

from transcription_api.report import FileCounts
from transcription_api.spec import parse_spec
from transcription_api.task import Task
from transcription_worker.batch.collecting import collect_files
from transcription_worker.batch.planning import plan_files
from transcription_worker.batch.shard_pipeline import ShardPipeline, ShardWork
from transcription_worker.batch.shard_run import transcribe_shard
from transcription_worker.engines.protocol import Input, Outcome
from transcription_worker.job.transcription import checkpoints_prefix, engine_options
from transcription_worker.paths import Paths
from transcription_worker.pipeline.report import Provenance
from transcription_worker.progress import ProgressTracker

from tests.support.instant_engine import InstantEngine, InstantLoader

UID = "0f4c2a6e-bench"


class WatchedEngine(InstantEngine):
    """Keeps the memory after each file."""

    def __init__(self) -> None:
        self.peaks: list[float] = []  # MiB, after each file

    def transcribe_file(self, item: Input) -> Outcome:
        """See `InstantEngine.transcribe_file`."""
        outcome = super().transcribe_file(item)
        self.peaks.append(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024)
        return outcome


@dataclass
class InstantRun:
    """One resource over many files. `spec` is as a manifest has it."""

    spec: dict[str, Any]
    paths: Paths
    engine: WatchedEngine = field(default_factory=WatchedEngine)

    def __post_init__(self) -> None:
        self._parsed, self._task = parse_spec(self.spec), Task("bench", "bench", UID, {})
        self.paths.scratch.mkdir(parents=True, exist_ok=True)

    def plan(self) -> int:
        """Return the number of shards."""
        plan = plan_files(self._task, self._parsed, self.paths, ProgressTracker()).plan
        assert plan is not None
        return plan.shards

    def transcribe(self, shards: int) -> None:
        """Transcribe all shards, one after another."""
        provenance = Provenance("none", "none")
        loader = InstantLoader(engine_options(self._parsed), self.engine)
        checkpoints = checkpoints_prefix(self._task, self._parsed)
        work = ShardWork(
            self._parsed, self.paths, loader, engine_options, lambda: provenance, self.paths.scratch, checkpoints, UID
        )
        for shard in range(shards):
            engines = [ShardPipeline(work)]
            transcribe_shard(self._task, self._parsed, self.paths, engines, shard, ProgressTracker(), {})

    def collect(self) -> FileCounts:
        """Return the account."""
        files = collect_files(self._task, self._parsed, self.paths, ProgressTracker()).files
        assert files is not None
        return files
