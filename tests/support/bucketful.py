"""A resource over many files of a real S3 server, whose phases run in this process with an engine that needs no model."""

import dataclasses
import json
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from typing import Any

from transcription_api.report import FileCounts, PlanSummary
from transcription_api.spec import Spec, parse_spec
from transcription_api.task import Task
from transcription_worker.batch.collecting import collect_files
from transcription_worker.batch.deletion import delete_results
from transcription_worker.batch.planning import plan_files
from transcription_worker.batch.run_objects import RunObjects
from transcription_worker.batch.shard_pipeline import ShardPipeline, ShardWork
from transcription_worker.batch.shard_run import transcribe_shard
from transcription_worker.engines.protocol import Input, Outcome
from transcription_worker.errors import WorkerError
from transcription_worker.job.transcription import checkpoints_prefix, engine_options
from transcription_worker.paths import Paths
from transcription_worker.pipeline.listener import PipelineListener
from transcription_worker.pipeline.pipeline import Pipeline
from transcription_worker.pipeline.pipeline_options import PipelineOptions
from transcription_worker.pipeline.report import Provenance
from transcription_worker.pipeline.s3_sink import S3Sink
from transcription_worker.pipeline.s3_source import S3Source
from transcription_worker.progress import ProgressTracker
from transcription_worker.storage.bucket import Bucket
from transcription_worker.storage.roles import Role

from tests.support.instant_engine import InstantEngine, InstantLoader
from tests.support.worker_container import SOURCE, WorkerContainer, written_objects

PROVENANCE = Provenance("sha256:00", "transcription-worker 0")
RUN = "_runs/many-7c1dbb0a/"


class Counting(InstantEngine):
    """An engine that keeps what was asked for each input, one after the other. `before` is called with each."""

    def __init__(self, before: Callable[[Input], None]) -> None:
        self.asked: list[Input] = []
        self._before = before

    def transcribe(self, inputs: Iterable[Input]) -> Iterator[Outcome]:
        """Yield the outcomes in the inputs' order."""
        for item in inputs:
            self.asked.append(item)
            try:
                self._before(item)
            except WorkerError as error:
                yield Outcome(item.id, error=error)
                continue
            yield self.transcribe_file(item)


@dataclass
class Bucketful:
    """One resource over many files: the phases run in this process."""

    container: WorkerContainer
    prefix: str  # of the source, and of the destination
    fields: dict[str, Any] = dataclasses.field(default_factory=dict)
    source: dict[str, Any] | None = None
    uid: str = "7c1dbb0a-1"

    def __post_init__(self) -> None:
        self.paths = Paths(self.container.root)
        self.paths.scratch.mkdir(parents=True, exist_ok=True)

    @property
    def spec(self) -> Spec:
        spec = self.container.spec("unused", self.prefix, formats=["txt"], retries=3) | self.fields
        named = {"prefix": self.prefix} if self.source is None else self.source
        spec["source"] = {"s3": self.container.endpoint(bucket=SOURCE, **named)}
        return parse_spec(spec)

    @property
    def task(self) -> Task:
        return Task("team-a", "many", self.uid, {})

    @property
    def objects(self) -> RunObjects:
        return RunObjects(self.task, self.spec, self.paths)

    def put(self, name: str, body: bytes) -> None:
        self.container.server.client().put_object(Bucket=SOURCE, Key=self.prefix + name, Body=body)

    def plan(self) -> PlanSummary:
        summary = plan_files(self.task, self.spec, self.paths, ProgressTracker()).plan
        assert summary is not None
        return summary

    def transcribe(
        self, shard: int = 0, before: Callable[[Input], None] = lambda _: None
    ) -> tuple[FileCounts, Counting]:
        engine = Counting(before)
        loader = InstantLoader(engine_options(self.spec), engine)
        counts = self.transcribe_by(loader, {}, shard)
        assert loader.loaded == bool(engine.asked)  # once, however many pipelines there were
        return counts, engine

    def transcribe_by(self, loader: InstantLoader, known: dict[str, object], shard: int = 0) -> FileCounts:
        work = ShardWork(
            self.spec,
            self.paths,
            loader,
            engine_options,
            lambda: PROVENANCE,
            self.paths.scratch,
            checkpoints_prefix(self.task, self.spec),
            self.uid,
        )
        engines = [ShardPipeline(work)]
        counts = transcribe_shard(self.task, self.spec, self.paths, engines, shard, ProgressTracker(), known).files
        assert counts is not None
        return counts

    def collect(self) -> FileCounts:
        counts = collect_files(self.task, self.spec, self.paths, ProgressTracker()).files
        assert counts is not None
        return counts

    def transcribe_alone(self) -> None:
        """Transcribe the one file that the source names, as a resource over it does."""
        spec, destination = self.spec, Bucket(self.spec.destination.s3, Role.DESTINATION, self.paths)
        location = spec.source.s3.object()
        Pipeline(
            S3Source(location, Bucket(location, Role.SOURCE, self.paths)),
            S3Sink(spec, lambda _own: destination, lambda: PROVENANCE, self.uid),
            InstantLoader(engine_options(spec)),
            PipelineOptions(engine_options(spec), spec.audio, self.paths.scratch),
            PipelineListener(),
        ).run()

    def delete(self) -> None:
        delete_results(self.task, self.spec, self.paths, ProgressTracker())

    def written(self) -> dict[str, bytes]:
        return written_objects(self.container.server, self.prefix)

    def failures(self) -> list[tuple[str, str]]:
        account = json.loads(self.written()[RUN + "report.json"])
        return [(row["key"].removeprefix(self.prefix), row["reason"]) for row in account["files"] if "reason" in row]
