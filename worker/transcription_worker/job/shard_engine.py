"""The program of one engine of a pod over many files: see batch.engine_process, which starts it.

    python -m transcription_worker.job.shard_engine DESCRIPTOR FOLDER COUNT [again]

DESCRIPTOR is that of the connection to the process that gives it files, FOLDER is for its own files, and COUNT engines share
the pod. The task is in the environment.
"""

import os
import sys
from collections.abc import Callable
from functools import partial
from multiprocessing.connection import Connection
from pathlib import Path

from transcription_api import exit_codes, reasons
from transcription_api.spec import Spec
from transcription_api.task import Task

from transcription_worker.batch.engine_messages import RemoteFeed
from transcription_worker.job.task_variable import parse_spec, read_task
from transcription_worker.logs import log_about, start_logging
from transcription_worker.paths import Paths, container_paths
from transcription_worker.pipeline.engine_loader import EngineLoader
from transcription_worker.shortage import failure_of
from transcription_worker.termination import do_last_acts, end_program, grace_seconds, on_interrupt, watch_signals
from transcription_worker.threads import observed_thread_count

# Makes the loader of a spec's engine, and tells the feed of device and model: job.transcription.engine_loader.
MakeLoader = Callable[[Spec, str, Paths, Callable[..., None]], EngineLoader]


def run_engine(arguments: list[str], make_loader: MakeLoader | None = None) -> None:
    """Transcribe the files that the connection gives, and tell the failure that concerns all of them, if there is one."""
    watch_signals(_end)
    start_logging()
    descriptor, folder, count, *again = arguments
    feed, scratch = RemoteFeed(Connection(int(descriptor))), Path(folder)
    failure = None
    try:
        task = read_task()
        log_about({"namespace": task.namespace, "name": task.name, "uid": task.uid})
        _transcribe(task, feed, scratch, int(count), bool(again), make_loader)
    except Exception as error:  # noqa: BLE001 - whatever it is, the process that gives the files tells of it
        failure = failure_of(error, scratch)
    feed.end(failure)
    if failure is not None and failure.reason is reasons.GPU_FAULT:
        end_program(0)  # CUDA may abort the process or wait for ever at its end


def _end(_: str) -> None:
    """Save what is under way and end, within the grace period: the process that started this one was told to."""
    do_last_acts(grace_seconds())
    end_program(exit_codes.INTERRUPTED)


def _transcribe(
    task: Task, feed: RemoteFeed, scratch: Path, count: int, again: bool, make_loader: MakeLoader | None
) -> None:
    if count > 1:
        os.environ["OMP_NUM_THREADS"] = str(max(1, observed_thread_count() // count))
    from transcription_worker.batch.shard_pipeline import ShardPipeline, ShardWork
    from transcription_worker.job import transcription

    spec, paths = parse_spec(task), container_paths()
    loader = (make_loader or transcription.engine_loader)(spec, task.namespace, paths, feed.know)
    if again:
        loader.load()  # before a file is taken, so that a death by the model is blamed on no file
    find_provenance = partial(transcription.find_provenance, spec, paths)
    checkpoints = transcription.checkpoints_prefix(task, spec)
    options_of = transcription.engine_options
    work = ShardWork(spec, paths, loader, options_of, find_provenance, scratch, checkpoints, task.uid, count)
    pipeline = ShardPipeline(work)
    with on_interrupt(pipeline.save, pipeline.finish):
        pipeline.run(feed)


if __name__ == "__main__":
    run_engine(sys.argv[1:])
