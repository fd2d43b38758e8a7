"""The pipeline of one task, from S3 to S3, for the object that its spec names; and what one for many files shares with it."""

import dataclasses
import fcntl
import functools
from collections.abc import Callable, Sequence
from functools import partial
from typing import Any

from transcription_api import layout
from transcription_api.report import Report
from transcription_api.spec import Spec
from transcription_api.task import Task

from transcription_worker.device import prove_device
from transcription_worker.engines.checkpoints.model_file import ModelFile
from transcription_worker.engines.protocol import Options
from transcription_worker.errors import WorkerError
from transcription_worker.model import fetch_model, find_model_version
from transcription_worker.paths import Paths
from transcription_worker.pipeline.audio_wait import share_of
from transcription_worker.pipeline.engine_loader import EngineLoader
from transcription_worker.pipeline.listener import PipelineListener
from transcription_worker.pipeline.pipeline import Pipeline
from transcription_worker.pipeline.pipeline_options import PipelineOptions
from transcription_worker.pipeline.report import Provenance, worker_version
from transcription_worker.pipeline.s3_checkpoints import CHECKPOINTS_FOLDER, S3CheckpointStore
from transcription_worker.pipeline.s3_sink import S3Sink
from transcription_worker.pipeline.s3_source import S3Input, S3Source
from transcription_worker.pipeline.sink import EngineUsed, Transcription
from transcription_worker.pipeline.source import InputVersion
from transcription_worker.progress import ProgressTracker
from transcription_worker.storage.bucket import Bucket
from transcription_worker.storage.roles import Role
from transcription_worker.termination import on_interrupt

# The file in the scratch folder by which one engine of a pod fetches the model, and the others find it in the cache.
MODEL_LOCK = "model.lock"


def transcribe_object(
    task: Task, spec: Spec, paths: Paths, tracker: ProgressTracker, known: dict[str, object]
) -> Report:
    """Transcribe the object and write its results. `known` collects fields of the report as they become known.

    Raises:
        WorkerError: every failure but QualityRejected, which is the report's reason.
    """

    def know(**fields: Any) -> None:
        known.update(fields)
        if "device" in fields:
            tracker.update(device=fields["device"])

    options = engine_options(spec)
    loader = engine_loader(spec, task.namespace, paths, know)
    listener, location = JobListener(tracker, known), spec.source.s3.object()
    destination = Bucket(spec.destination.s3, Role.DESTINATION, paths)
    provenance = functools.cache(partial(find_provenance, spec, paths))
    store = S3CheckpointStore(spec, destination, checkpoints_prefix(task, spec), provenance, paths.scratch)
    pipeline = Pipeline(
        S3Source(location, Bucket(location, Role.SOURCE, paths)),
        S3Sink(spec, lambda _own: destination, provenance, task.uid),
        loader,
        PipelineOptions(options, spec.audio, paths.scratch, checkpoints=store),
        listener,
    )
    with store, on_interrupt(store.save, pipeline.finish, listener.has_result):
        pipeline.run()
    return listener.result()


def engine_loader(spec: Spec, namespace: str, paths: Paths, know: Callable[..., None]) -> EngineLoader:
    """Prove the device, which comes first: without it no byte of audio is touched. `know` is told device and model.

    Raises:
        WorkerError: no device that the policy allows is usable.
    """
    device = prove_device(spec.device.policy)
    know(device=device)

    def find_model() -> ModelFile:
        with (paths.scratch / MODEL_LOCK).open("w") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)
            model = fetch_model(spec.model, paths, namespace)
        know(model=model.used)
        return model

    return EngineLoader(spec.engine, engine_options(spec), device, find_model)


def checkpoints_prefix(task: Task, spec: Spec) -> str:
    """Return the prefix of the checkpoints of a run, in the destination."""
    return f"{layout.run_prefix(spec, task.name, task.uid)}{CHECKPOINTS_FOLDER}"


def find_provenance(spec: Spec, paths: Paths) -> Provenance:
    """Return what results are made with, beside the spec."""
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
        self._audio_wait_share: float | None = None

    def result(self) -> Report:
        """Return the report of the input.

        Raises:
            WorkerError: the failure of the input.
        """
        if isinstance(self._outcome, Report):
            return dataclasses.replace(self._outcome, audio_wait_share=self._audio_wait_share)
        raise self._outcome or RuntimeError("the pipeline has ended without an outcome")

    def has_result(self) -> bool:
        """Whether the input's results are written, or were there already."""
        return isinstance(self._outcome, Report)

    def stage_entered(self, stage: str) -> None:
        self._tracker.enter_stage(stage)

    def input_found(self, number: int, version: InputVersion) -> None:
        self._known["source_etag"] = version.etag

    def input_decoded(self, number: int, seconds: Sequence[float]) -> None:
        self._known["audio_seconds"] = round(max(seconds), 3)
        self._tracker.add_total(sum(seconds))

    def engine_loaded(self, engine: EngineUsed) -> None:
        self._known["engine"] = engine.name

    def audio_waited(self, waited: float, seconds: float) -> None:
        self._audio_wait_share = share_of(waited, seconds)

    def track_advanced(self, number: int, track: int, seconds: float) -> None:
        self._tracker.advance(seconds, track, number)

    def track_resumed(self, number: int, track: int, seconds: float) -> None:
        self._tracker.resume(seconds)

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
