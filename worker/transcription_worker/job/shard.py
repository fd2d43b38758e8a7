"""A shard of many files, by the engines of one pod, each in a process of its own.

This process imports neither torch nor media's libraries: it is small, and what takes an engine down leaves it be.
"""

import dataclasses
import sys

from transcription_api.report import Report
from transcription_api.spec import DevicePolicy, Spec
from transcription_api.task import Task

from transcription_worker.batch.engine_process import EngineProcess
from transcription_worker.batch.shard_run import transcribe_shard
from transcription_worker.paths import Paths
from transcription_worker.progress import ProgressTracker

ENGINE_COMMAND = (sys.executable, "-m", "transcription_worker.job.shard_engine")


def transcribe_files(
    task: Task, spec: Spec, shard: int, paths: Paths, tracker: ProgressTracker, known: dict[str, object]
) -> Report:
    """Transcribe a shard of many files, with an engine on each of the pod's GPUs; see `batch.shard_run.transcribe_shard`.

    Raises:
        WorkerError: a failure that concerns every file of the shard.
    """
    count = 1 if spec.device.policy is DevicePolicy.CPU else spec.device.gpus
    engines = [EngineProcess(ENGINE_COMMAND, paths.scratch, number, count) for number in range(count)]
    report = transcribe_shard(task, spec, paths, engines, shard, tracker, known)
    return dataclasses.replace(report, **known)  # type: ignore[arg-type]  # fields of the report by their names
