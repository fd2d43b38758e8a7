"""Read the task from the environment."""

import logging
import os

from transcription_api import names, reasons
from transcription_api.spec import Spec
from transcription_api.task import Task, parse_task, task_text

from transcription_worker.errors import WorkerError

log = logging.getLogger(__name__)


def read_task() -> Task:
    """Return the task.

    Raises:
        WorkerError: InvalidTask.
    """
    text = task_text(os.environ)
    if text is None:
        raise WorkerError(reasons.INVALID_TASK, f"environment: {names.ENV_TASK} is not set, expected a task as JSON")
    try:
        return parse_task(text)
    except ValueError as error:
        raise WorkerError(reasons.INVALID_TASK, f"{names.ENV_TASK}: {error}") from error


def parse_spec(task: Task) -> Spec:
    """Return the task's spec. Fields of a newer version are left alone: the apiserver may have added them by default.

    Raises:
        WorkerError: InvalidTask.
    """
    try:
        return task.parsed()
    except ValueError as error:
        raise WorkerError(reasons.INVALID_TASK, str(error)) from error


def tell_unknown_fields(task: Task) -> None:
    """Name the fields of a newer version in the log."""
    unknown = task.unknown_fields()
    if unknown:
        log.warning("this version does not know %s, and does what the other fields say", ", ".join(unknown))
