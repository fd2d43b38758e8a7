"""Inputs are prepared ahead of the engine, within bounds, and in their order."""

import threading
import time
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import pytest
from transcription_api import reasons
from transcription_api.report import Report
from transcription_worker.engines.protocol import Samples
from transcription_worker.errors import WorkerError
from transcription_worker.pipeline.ahead_budget import LARGEST_RATIO, MOST_AHEAD, PREPARED_AHEAD, SMALL_AHEAD
from transcription_worker.pipeline.input_state import InputState, Prepared
from transcription_worker.pipeline.preparation import Preparation
from transcription_worker.pipeline.source import InputVersion
from transcription_worker.pipeline.tracks import Track
from transcription_worker.pipeline.write_gate import WriteGate

SOON = 60.0  # seconds


@dataclass(frozen=True)
class Named:
    name: str


class Silence:
    """Audio of so many samples."""

    def __init__(self, count: int) -> None:
        self.count = count

    def read(self, start: int, count: int) -> Samples:
        return np.zeros(count, np.float32)

    def close(self) -> None:
        """Nothing is open."""


def listed(count: int) -> list[Named]:
    return [Named(str(number)) for number in range(count)]


def wait_until(what: "threading.Event") -> None:
    assert what.wait(SOON)


def ready(state: InputState[Named]) -> Prepared:
    return Prepared(InputVersion())


def test_no_more_inputs_are_prepared_than_may_be_ahead_of_the_engine() -> None:
    started: list[int] = []

    def prepare(state: InputState[Named]) -> Prepared:
        started.append(state.number)
        return ready(state)

    with Preparation(listed(10), prepare, ahead=3, most=3) as preparation:
        states = [next(preparation) for _ in range(10)]  # iteration itself waits for nothing
        states[2].prepared.result(SOON)
        time.sleep(0.05)
        assert sorted(started) == [0, 1, 2]
        preparation.release(states[0])
        states[3].prepared.result(SOON)
        time.sleep(0.05)
        assert sorted(started) == [0, 1, 2, 3]
        with pytest.raises(StopIteration):
            next(preparation)


@pytest.mark.parametrize(
    ("size", "count"),
    [
        (None, PREPARED_AHEAD),  # nothing is known of its size
        (10 << 20, PREPARED_AHEAD),
        (SMALL_AHEAD // LARGEST_RATIO // 10 + 1, 10),
        (100, MOST_AHEAD),
    ],
)
def test_more_inputs_are_prepared_the_smaller_they_are(size: int | None, count: int) -> None:
    started: list[int] = []
    let_go = threading.Event()

    def prepare(state: InputState[Named]) -> Prepared:
        preparation.reserve(state, InputVersion(media_bytes=size))
        started.append(state.number)
        let_go.wait(60.0)
        return ready(state)

    preparation = Preparation(listed(100), prepare)
    with preparation:
        end = time.monotonic() + 60.0
        while len(started) < count and time.monotonic() < end:
            time.sleep(0.01)
        time.sleep(0.1)
        assert sorted(started) == list(range(count))
        let_go.set()


def test_samples_that_were_decoded_count_as_what_they_are() -> None:
    started: list[int] = []

    def prepare(state: InputState[Named]) -> Prepared:
        preparation.reserve(state, InputVersion(media_bytes=100))
        started.append(state.number)
        silence = Silence(SMALL_AHEAD // 2 // 5 + 1)  # samples of two bytes
        return Prepared(InputVersion(), (Track(silence),), (1.0,))

    preparation = Preparation(listed(100), prepare, most=6)
    with preparation:
        states = [next(preparation) for _ in range(7)]
        for state in states[:6]:
            state.prepared.result(SOON)
        preparation.release(states[0])
        time.sleep(0.1)
        assert len(started) == 6, "five inputs hold all that small ones may"
        preparation.release(states[1])
        states[6].prepared.result(SOON)


def test_an_input_that_needs_no_engine_makes_room_by_itself() -> None:
    def prepare(state: InputState[Named]) -> Prepared:
        if state.number % 2:
            raise ValueError("damaged")
        return Prepared(InputVersion(), report=Report())

    with Preparation(listed(20), prepare, ahead=2, most=2) as preparation:
        states = list(preparation)
        assert [state.prepared.exception(SOON) is None for state in states] == [True, False] * 10


def test_downloads_wait_for_room_but_the_first_in_line_never_does() -> None:
    fetched = [threading.Event() for _ in range(4)]

    def prepare(state: InputState[Named]) -> Prepared:
        preparation.reserve(state, InputVersion(download_bytes=60))
        fetched[state.number].set()
        return ready(state)

    preparation = Preparation(listed(4), prepare, ahead=4, most=4, downloaded=50)
    with preparation:
        states = list(preparation)
        for number, state in enumerate(states):
            wait_until(fetched[number])  # larger than all that may be downloaded, and let through on its own
            time.sleep(0.02)
            assert [event.is_set() for event in fetched].count(True) == number + 1
            preparation.release(state)


def test_inputs_are_listed_as_work_goes_on_and_a_listing_that_breaks_off_is_raised_where_it_is_iterated() -> None:
    taken: list[int] = []

    def listing() -> Iterator[Named]:
        for number in range(6):
            taken.append(number)
            yield Named(str(number))
        raise WorkerError(reasons.ACCESS_DENIED, "no more may be listed")

    with Preparation(listing(), ready, ahead=2, most=2) as preparation:
        first = next(preparation)
        first.prepared.result(SOON)
        assert taken == [0, 1]
        assert len([next(preparation) for _ in range(5)]) == 5
        with pytest.raises(WorkerError):
            next(preparation)


def test_whoever_waits_for_an_input_is_told_when_the_pipeline_ends_first() -> None:
    with Preparation(listed(5), ready, ahead=1, most=1) as preparation:
        states = list(preparation)
    with pytest.raises(WorkerError, match="pipeline has ended"):
        states[4].take(0, 0.0)


def test_a_closed_gate_waits_for_those_who_write_and_lets_nobody_in() -> None:
    gate, inside, leave, second = WriteGate(), threading.Event(), threading.Event(), threading.Event()

    def write() -> None:
        with gate:
            inside.set()
            leave.wait(SOON)

    def write_later() -> None:
        with gate:
            second.set()

    threading.Thread(target=write).start()
    wait_until(inside)
    closer = threading.Thread(target=gate.close)
    closer.start()
    closer.join(0.05)
    assert closer.is_alive()
    leave.set()
    closer.join(SOON)
    assert not closer.is_alive()
    threading.Thread(target=write_later, daemon=True).start()
    assert not second.wait(0.05)
