"""Operations are retried during an outage, by a clock that the test moves."""

import pytest
from transcription_worker.retry import Backoff


class Clock:
    """A clock that moves when the code under test sleeps."""

    def __init__(self) -> None:
        self.now = 0.0
        self.pauses: list[float] = []

    def read(self) -> float:
        return self.now

    def sleep(self, seconds: float) -> None:
        self.pauses.append(seconds)
        self.now += seconds


def backoff_of(clock: Clock) -> Backoff:
    return Backoff("read 'a.wav'", seconds=90, clock=clock.read, sleep=clock.sleep)


def wait_for_ever(waiting: Backoff) -> None:
    while True:
        waiting.wait_after(ConnectionResetError(), "gone")


def test_an_outage_of_a_minute_is_ridden_out_and_one_without_end_is_not() -> None:
    clock = Clock()
    waiting = backoff_of(clock)
    with pytest.raises(ConnectionResetError):
        wait_for_ever(waiting)
    assert 60 < clock.now <= 90


def test_pauses_grow_to_ten_seconds() -> None:
    clock = Clock()
    waiting = backoff_of(clock)
    for _ in range(8):
        waiting.wait_after(ConnectionResetError(), "gone")
    assert clock.pauses[0] <= 0.5
    assert 5 <= clock.pauses[-1] <= 10


def test_progress_makes_the_next_failure_another_outage() -> None:
    clock = Clock()
    waiting = backoff_of(clock)
    for _ in range(100):
        waiting.wait_after(ConnectionResetError(), "gone")
        clock.now += 30
        waiting.reset()
    assert clock.now > 3000
