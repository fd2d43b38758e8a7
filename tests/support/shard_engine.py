"""The program of an engine of a pod over many files, with an engine that needs no model.

The variable TRANSCRIPTION_TEST_DEVICES has what each engine of the pod finds, such as cuda,cuda,none.
"""

import os
import sys
from collections.abc import Callable

from transcription_api import reasons
from transcription_api.report import DeviceUsed
from transcription_api.spec import Spec
from transcription_worker.errors import WorkerError
from transcription_worker.job.shard_engine import run_engine
from transcription_worker.job.task_variable import read_task
from transcription_worker.job.transcription import engine_options
from transcription_worker.paths import Paths
from transcription_worker.pipeline.engine_loader import EngineLoader

from tests.support.instant_engine import InstantLoader

COMMAND = (sys.executable, "-m", "tests.support.shard_engine")
DEVICES = "TRANSCRIPTION_TEST_DEVICES"


def instant_loader(spec: Spec, namespace: str, paths: Paths, know: Callable[..., None]) -> EngineLoader:
    """Find the device that the variable says, and make a loader of the instant engine.

    A namespace that is not the task's, by which models are kept apart in a node's cache, fails.
    """
    assert namespace == read_task().namespace
    number = int(os.environ.get("CUDA_VISIBLE_DEVICES") or 0)
    found = os.environ.get(DEVICES, "cpu").split(",")[number]
    if found == "none":
        raise WorkerError(reasons.GPU_NOT_VISIBLE, "the driver is there, but no device")
    know(device=DeviceUsed(found))
    return InstantLoader(engine_options(spec))


if __name__ == "__main__":
    run_engine(sys.argv[1:], instant_loader)
