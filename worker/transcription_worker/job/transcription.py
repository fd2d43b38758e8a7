"""The pipeline of one task, from S3 to S3: the object that its spec names, or a shard of many files."""

import dataclasses
from collections.abc import Sequence
from functools import partial

from transcription_api.report import Report
from transcription_api.spec import Spec
from transcription_api.task import Task

from transcription_worker.batch.shard_run import ShardWork, transcribe_shard
from transcription_worker.device import prove_device
from transcription_worker.engines.checkpoints.model_file import ModelFile
from transcription_worker.engines.protocol import Options
from transcription_worker.errors import WorkerError
from transcription_worker.model import fetch_model, find_model_version
from transcription_worker.paths import Paths
from transcription_worker.pipeline.engine_loader import EngineLoader
from transcription_worker.pipeline.listener import PipelineListener
from transcription_worker.pipeline.pipeline import Pipeline, PipelineOptions
from transcription_worker.pipeline.report import Provenance, worker_version
from transcription_worker.pipeline.s3_sink import S3Sink
from transcription_worker.pipeline.s3_source import S3Input, S3Source
from transcription_worker.pipeline.sink import EngineUsed, Transcription
from transcription_worker.pipeline.source import InputVersion
from transcription_worker.progress import ProgressTracker
from transcription_worker.storage.bucket import Bucket
from transcription_worker.storage.roles import Role


def transcribe_object(
    task: Task, spec: Spec, paths: Paths, tracker: ProgressTracker, known: dict[str, object]
) -> Report:
    """Transcribe the object and write its results. `known` collects fields of the report as they become known.

    Raises:
        WorkerError: every failure but QualityRejected, which is the report's reason.
    """
    options = engine_options(spec)
    loader = _engine_loader(spec, task.namespace, paths, tracker, known)
    listener, location = JobListener(tracker, known), spec.source.s3.object()
    destination = Bucket(spec.destination.s3, Role.DESTINATION, paths)
    Pipeline(
        S3Source(location, Bucket(location, Role.SOURCE, paths)),
        S3Sink(spec, lambda _own: destination, partial(_find_provenance, spec, paths), task.uid),
        loader,
        PipelineOptions(options, spec.audio, paths.scratch),
        listener,
    ).run()
    return listener.result()


def transcribe_files(
    task: Task, spec: Spec, shard: int, paths: Paths, tracker: ProgressTracker, known: dict[str, object]
) -> Report:
    """Transcribe a shard of many files; see `batch.shard_run.transcribe_shard`.

    Raises:
        WorkerError: a failure that concerns every file of the shard.
    """
    loader = _engine_loader(spec, task.namespace, paths, tracker, known)
    work = ShardWork(spec, paths, loader, engine_options, partial(_find_provenance, spec, paths))
    report = transcribe_shard(task, work, shard, tracker, known)
    return dataclasses.replace(report, **known)  # type: ignore[arg-type]  # fields of the report by their names


def _engine_loader(
    spec: Spec, namespace: str, paths: Paths, tracker: ProgressTracker, known: dict[str, object]
) -> EngineLoader:
    """Prove the device, which comes first: without it no byte of audio is touched."""
    device = prove_device(spec.device.policy)
    known["device"] = device
    tracker.update(device=device)

    def find_model() -> ModelFile:
        model = fetch_model(spec.model, paths, namespace)
        known["model"] = model.used
        return model

    return EngineLoader(spec.engine, engine_options(spec), device, find_model)


def _find_provenance(spec: Spec, paths: Paths) -> Provenance:
    return Provenance(find_model_version(spec.model, paths), worker_version())


def engine_options(spec: Spec) -> Options:
    """Return what the spec asks of the engine."""
    language = None if spec.language == "auto" else spec.language
    return Options(spec.task, language, spec.decoding, spec.language_detection, spec.audio.clips, spec.quality)


class JobListener(PipelineListener[S3Input]):
    """Keeps the progress that the operator asks for, and the outcome of the task's one input."""

    def __init__(self, tracker: ProgressTracker, known: dict[str, object]) -> None:
        self._tracker, self._known = tracker, known
        self._outcome: Report | WorkerError | None = None

    def result(self) -> Report:
        """Return the report of the input.

        Raises:
            WorkerError: the failure of the input.
        """
        if isinstance(self._outcome, Report):
            return self._outcome
        raise self._outcome or RuntimeError("the pipeline has ended without an outcome")

    def stage_entered(self, stage: str) -> None:
        self._tracker.enter_stage(stage)

    def input_found(self, number: int, version: InputVersion) -> None:
        self._known["source_etag"] = version.etag

    def input_decoded(self, number: int, seconds: Sequence[float]) -> None:
        self._known["audio_seconds"] = round(max(seconds), 3)
        self._tracker.add_total(sum(seconds))

    def engine_loaded(self, engine: EngineUsed) -> None:
        self._known["engine"] = engine.name

    def track_advanced(self, number: int, track: int, seconds: float) -> None:
        self._tracker.advance(seconds, track, number)

    def language_detected(self, number: int, language: str) -> None:
        # The status has room for one language.
        self._tracker.update(language=language)

    def input_reused(self, number: int, item: S3Input, report: Report) -> None:
        self._end(number, report)

    def input_written(self, number: int, item: S3Input, transcription: Transcription, report: Report) -> None:
        self._end(number, report)

    def input_failed(self, number: int, item: S3Input, error: WorkerError) -> None:
        self._end(number, error)

    def _end(self, number: int, outcome: Report | WorkerError) -> None:
        self._outcome = outcome
        self._tracker.end(number)
