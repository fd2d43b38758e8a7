"""NaN is computed again: twice it is the model's numbers, once it is the device."""

from collections.abc import Callable, Generator
from typing import Any

import pytest
from transcription_api import reasons
from transcription_worker.engines.overflow import NotANumberError, confirm, confirm_requests
from transcription_worker.errors import WorkerError

Confirm = Callable[[list[Any], str], Any]


def at_once(outcomes: list[Any], precision: str) -> Any:
    """Compute the next outcome with each call; None stands for NaN."""

    def compute() -> Any:
        if (outcome := outcomes.pop(0)) is None:
            raise NotANumberError
        return outcome

    return confirm(compute, precision)


def by_requests(outcomes: list[Any], precision: str) -> Any:
    """Do the same with a request for each outcome."""

    def compute() -> Generator[str, Any, Any]:
        if (outcome := (yield "a request")) is None:
            raise NotANumberError
        return outcome

    running = confirm_requests(compute, precision)
    assert next(running) == "a request"
    try:
        while True:
            running.send(outcomes.pop(0))
    except StopIteration as stop:
        return stop.value


@pytest.fixture(params=[at_once, by_requests], ids=["at once", "by requests"])
def computed(request: pytest.FixtureRequest) -> Confirm:
    found: Confirm = request.param
    return found


def test_numbers_are_computed_once(computed: Confirm) -> None:
    outcomes = [1.5, 2.5]
    assert computed(outcomes, "float16") == 1.5
    assert outcomes == [2.5]


@pytest.mark.parametrize(
    ("precision", "expected"), [("float16", "bfloat16 or float32"), ("float32", "a model that gives numbers")]
)
def test_what_is_nan_twice_is_permanent_and_names_the_precision(
    computed: Confirm, precision: str, expected: str
) -> None:
    with pytest.raises(
        WorkerError, match=rf"precision: got {precision}, .*NaN for this audio, expected {expected}"
    ) as caught:
        computed([None, None, 2.5], precision)
    assert caught.value.reason is reasons.NUMERIC_OVERFLOW
    assert caught.value.reason.permanent


def test_what_is_nan_once_is_the_devices_fault_and_tried_again(computed: Confirm) -> None:
    with pytest.raises(WorkerError) as caught:
        computed([None, 2.5], "float16")
    assert caught.value.reason is reasons.GPU_FAULT
    assert not caught.value.reason.permanent
