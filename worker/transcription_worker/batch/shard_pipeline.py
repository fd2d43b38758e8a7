"""The pipeline of one engine over the files that a feed gives it."""

import functools
import itertools
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from transcription_api.report import Report
from transcription_api.spec import AudioSelection, Spec

from transcription_worker.batch.entries import Entry
from transcription_worker.batch.feed import Feed
from transcription_worker.batch.listing import SourceBuckets
from transcription_worker.batch.outcomes import failed_row, written_row
from transcription_worker.batch.result_buckets import ResultBuckets
from transcription_worker.batch.shard_files import ShardInput, ShardSource, shard_input
from transcription_worker.engines.protocol import Options
from transcription_worker.errors import WorkerError
from transcription_worker.paths import Paths
from transcription_worker.pipeline.engine_loader import EngineLoader
from transcription_worker.pipeline.listener import PipelineListener
from transcription_worker.pipeline.pipeline import Pipeline
from transcription_worker.pipeline.pipeline_options import PipelineOptions
from transcription_worker.pipeline.report import Provenance
from transcription_worker.pipeline.s3_checkpoints import S3CheckpointStore
from transcription_worker.pipeline.s3_sink import S3Sink
from transcription_worker.pipeline.sink import EngineUsed, Transcription


@dataclass(frozen=True)
class ShardWork:
    """What an engine needs beside the files: how to reach the buckets, the engine itself, and what is asked of it.

    `scratch` is the folder of its downloads and samples, `checkpoints` the prefix of those of long files. `uid` is the
    resource's. `engines` is how many share the pod's disk and memory.
    """

    spec: Spec
    paths: Paths
    loader: EngineLoader
    options_of: Callable[[Spec], Options]
    find_provenance: Callable[[], Provenance]
    scratch: Path
    checkpoints: str
    uid: str
    engines: int = 1


class ShardPipeline:
    """Implements `feed.ShardEngine` in this process."""

    def __init__(self, work: ShardWork) -> None:
        self._work = work
        self._buckets = SourceBuckets(work.spec, work.paths)
        results = ResultBuckets(work.spec, work.paths, check_writes=False)
        self._bucket = results.named(work.spec.destination.s3.bucket)
        self._find_provenance = functools.cache(work.find_provenance)
        self._sink = S3Sink(work.spec, results.of, self._find_provenance, work.uid)
        self._store: S3CheckpointStore | None = None
        self._pipeline: Pipeline[ShardInput] | None = None
        self._stopped = False

    def stop(self) -> None:
        """See `ShardEngine.stop`: a pipeline ends with its process."""

    def save(self) -> None:
        """See `ShardEngine.save`: write checkpoints of long files."""
        if self._store is not None:
            self._store.save()

    def finish(self, until: float) -> None:
        """See `ShardEngine.finish`."""
        self._stopped = True
        if self._pipeline is not None:
            self._pipeline.finish(until)

    def run(self, feed: Feed) -> None:
        """See `ShardEngine.run`. The model is loaded once, however many pipelines there are."""
        work = self._work
        self._store = S3CheckpointStore(work.spec, self._bucket, work.checkpoints, self._find_provenance, work.scratch)
        with self._store:
            while not self._stopped and (first := feed.take()) is not None:
                self._run(itertools.chain([first], _taken(feed)), feed, self._store)

    def _run(self, entries: Iterator[Entry], feed: Feed, store: S3CheckpointStore) -> None:
        work, listener = self._work, FeedListener(feed)
        items = (shard_input(work.spec, entry, entry.found) for entry in entries)
        options = PipelineOptions(
            work.options_of(work.spec), work.spec.audio, work.scratch, self._options_of, store, work.engines
        )
        source = ShardSource(listener.listed(items), self._buckets)
        self._pipeline = Pipeline(source, self._sink, work.loader, options, listener)
        self._pipeline.run()

    def _options_of(self, item: ShardInput) -> tuple[Options, AudioSelection]:
        return self._work.options_of(item.spec), item.spec.audio


class FeedListener(PipelineListener[ShardInput]):
    """Tells a feed what becomes of the inputs of one pipeline, which numbers them from 0."""

    def __init__(self, feed: Feed) -> None:
        self._feed = feed
        self._numbers: list[int] = []  # of the entries, by the pipeline's number

    def listed(self, items: Iterator[ShardInput]) -> Iterator[ShardInput]:
        """Pass the inputs on, and note which entries they are."""
        for item in items:
            self._numbers.append(item.entry.number)
            yield item

    def stage_entered(self, stage: str) -> None:
        self._feed.enter_stage(stage)

    def input_decoded(self, number: int, seconds: Sequence[float]) -> None:
        self._feed.decoded(self._numbers[number], sum(seconds))

    def engine_loaded(self, engine: EngineUsed) -> None:
        self._feed.know(engine=engine.name)

    def audio_waited(self, waited: float, seconds: float) -> None:
        self._feed.waited(waited, seconds)

    def track_resumed(self, number: int, track: int, seconds: float) -> None:  # noqa: ARG002 - of whichever track
        self._feed.resumed(self._numbers[number], seconds)

    def track_advanced(self, number: int, track: int, seconds: float) -> None:
        self._feed.advanced(self._numbers[number], track, seconds)

    def input_reused(self, number: int, item: ShardInput, report: Report) -> None:  # noqa: ARG002
        self._feed.settle(written_row(item.entry, report))

    def input_written(
        self,
        number: int,  # noqa: ARG002
        item: ShardInput,
        transcription: Transcription,
        report: Report,
    ) -> None:
        if transcription.engine_warnings:
            self._feed.know(warnings=transcription.engine_warnings)
        self._feed.settle(written_row(item.entry, report))

    def input_failed(self, number: int, item: ShardInput, error: WorkerError) -> None:  # noqa: ARG002
        self._feed.settle(failed_row(item.entry, error))


def _taken(feed: Feed) -> Iterator[Entry]:
    while (entry := feed.take()) is not None:
        yield entry
