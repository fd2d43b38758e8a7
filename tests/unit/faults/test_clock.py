"""The operator's time passes faster only where nothing of the real world is awaited."""

from pathlib import Path

import pytest

from tests.faults.clock import LONGEST_STEP, OperatorTime, SharedClock


class Real:
    """A real time that a test sets."""

    def __init__(self) -> None:
        self.at = 100.0

    def __call__(self) -> float:
        return self.at


@pytest.fixture
def shared(tmp_path: Path) -> SharedClock:
    return SharedClock(tmp_path / "clock")


def passed(shared: SharedClock, seconds: float, rate: float, requests: int = 0) -> float:
    """Return how many of the operator's seconds pass in so many real ones."""
    real = Real()
    clock = OperatorTime(shared, real)
    before, clock.requests, shared.rate = clock.monotonic(), requests, rate
    real.at += seconds
    return clock.monotonic() - before


def test_time_passes_at_the_rate_that_is_set(shared: SharedClock) -> None:
    assert passed(shared, 0.05, 300.0) == pytest.approx(15.0)


def test_a_request_that_is_awaited_does_not_time_out_by_a_faster_clock(shared: SharedClock) -> None:
    assert passed(shared, 0.05, 300.0, requests=1) == pytest.approx(0.05)


def test_a_negative_rate_lets_an_awaited_request_time_out(shared: SharedClock) -> None:
    assert passed(shared, 0.05, -20.0, requests=1) == pytest.approx(1.0)


def test_an_operator_that_a_loaded_machine_does_not_let_run_loses_no_lease(shared: SharedClock) -> None:
    assert passed(shared, 9.0, 300.0) == pytest.approx(LONGEST_STEP * 300.0 + 9.0 - LONGEST_STEP)


def test_the_next_operator_goes_on_with_the_time_of_the_one_before(shared: SharedClock) -> None:
    passed(shared, 0.05, 300.0)
    assert OperatorTime(shared, Real()).monotonic() == pytest.approx(100.0 + shared.ahead)
    assert shared.ahead == pytest.approx(15.0 - 0.05)
