"""The worker's phases in this process, with an engine that answers at once: what all but the engine costs."""

import contextlib
import resource
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from typing import Any

from transcription_api.report import DeviceUsed, FileCounts, ModelUsed
from transcription_api.spec import parse_spec
from transcription_api.task import Task
from transcription_worker.batch.collecting import collect_files
from transcription_worker.batch.planning import plan_files
from transcription_worker.batch.shard_run import ShardWork, transcribe_shard
from transcription_worker.engines.protocol import Input, Outcome, Transcript
from transcription_worker.errors import WorkerError
from transcription_worker.job.transcription import engine_options
from transcription_worker.paths import Paths
from transcription_worker.pipeline.engine_loader import EngineLoader, LoadedEngine
from transcription_worker.pipeline.report import Provenance
from transcription_worker.pipeline.sink import EngineUsed
from transcription_worker.progress import ProgressTracker

DEVICE = DeviceUsed("cpu")
UID = "0f4c2a6e-bench"


class InstantEngine:
    """Opens each file, as every engine does, and gives the same words for all. Keeps the memory after each file."""

    name = "instant"

    def __init__(self) -> None:
        self.peaks: list[float] = []  # MiB, after each file

    def transcribe(self, inputs: Iterable[Input]) -> Iterator[Outcome]:
        """Yield an outcome for each input, in their order."""
        for item in inputs:
            try:
                with contextlib.closing(item.open()) as audio:
                    seconds = audio.count / 16_000
            except WorkerError as error:
                yield Outcome(item.id, error=error)
                continue
            self.peaks.append(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024)
            segment: dict[str, Any] = {"id": 0, "start": 0.0, "end": seconds, "text": " words", "avg_logprob": -0.1}
            segment |= {"no_speech_prob": 0.0, "compression_ratio": 1.0, "temperature": 0.0, "tokens": [], "seek": 0}
            yield Outcome(item.id, Transcript(" words", [segment], "en", None, seconds))


class _Ready(EngineLoader):
    def __init__(self, engine: InstantEngine) -> None:
        self._engine = engine

    def check(self) -> None:
        """Accept all options."""

    def load(self) -> LoadedEngine:
        return LoadedEngine(self._engine, EngineUsed("instant", ModelUsed("none"), DEVICE))


@dataclass
class InstantRun:
    """One resource over many files. `spec` is as a manifest has it."""

    spec: dict[str, Any]
    paths: Paths
    engine: InstantEngine = field(default_factory=InstantEngine)

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
        work = ShardWork(self._parsed, self.paths, _Ready(self.engine), engine_options, lambda: provenance)
        for shard in range(shards):
            transcribe_shard(self._task, work, shard, ProgressTracker(), {})

    def collect(self) -> FileCounts:
        """Return the account."""
        files = collect_files(self._task, self._parsed, self.paths, ProgressTracker()).files
        assert files is not None
        return files
