"""A model that gives NaN: its text would be nonsense, so the input fails by name.

Half precision ends at 65,504, and what overflows there is NaN a few layers later, for the same audio each time. A device that
is about to fail gives NaN too, but once. Therefore the window is computed a second time, which tells the two apart.
"""

from collections.abc import Callable, Generator
from typing import Any, TypeVar

from transcription_api import reasons

from transcription_worker.errors import WorkerError

T = TypeVar("T")


class NotANumberError(Exception):
    """The model gave NaN for a window."""


def confirm(compute: Callable[[], T], precision: str) -> T:
    """Return what `compute` returns; if it raises NotANumberError, compute again to find out why.

    Raises:
        WorkerError: NumericOverflow if it gives NaN twice, GPUFault if it does so once.
    """
    try:
        return compute()
    except NotANumberError:
        pass
    try:
        compute()
    except NotANumberError as error:
        raise overflow(precision) from error
    raise fault()


def confirm_requests(compute: Callable[[], Generator[Any, Any, T]], precision: str) -> Generator[Any, Any, T]:
    """Do what `confirm` does, for what is computed by requests to a scheduler."""
    try:
        return (yield from compute())
    except NotANumberError:
        pass
    try:
        yield from compute()
    except NotANumberError as error:
        raise overflow(precision) from error
    raise fault()


def overflow(precision: str) -> WorkerError:
    """The error of numbers that are too large for the precision."""
    expected = "a model that gives numbers" if precision == "float32" else "bfloat16 or float32"
    message = (
        f"spec.decoding.precision: got {precision}, in which the model gives NaN for this audio, expected {expected}"
    )
    return WorkerError(reasons.NUMERIC_OVERFLOW, message)


def fault() -> WorkerError:
    """The error of a device that gave NaN once and numbers the next time."""
    return WorkerError(reasons.GPU_FAULT, "the model gave NaN for a window and, computed again, numbers")
