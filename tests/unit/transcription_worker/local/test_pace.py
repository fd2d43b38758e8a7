"""Speed and time left of many files, and how they are shown."""

import pytest
from transcription_worker.local.display import clock, describe, times
from transcription_worker.local.pace import Pace, Reading


class Clock:
    now = 100.0

    def __call__(self) -> float:
        return self.now


def test_files_that_nobody_opened_are_guessed_from_their_size() -> None:
    clock = Clock()
    pace = Pace([1000, 1000, 3000], clock)
    assert pace.read().total is None
    pace.begin()
    pace.opened(0, 60.0)
    pace.opened(1, 30.0)
    reading = pace.read()
    # 90 s in 2,000 bytes: 3,000 bytes are 135 s.
    assert (reading.total, reading.estimated) == (225.0, True)
    pace.opened(2, 200.0)
    reading = pace.read()
    assert (reading.total, reading.estimated) == (290.0, False)


def test_speed_and_time_left_count_from_the_engine_on() -> None:
    clock = Clock()
    pace = Pace([10, 10], clock)
    clock.now += 50  # the model is loaded
    pace.begin()
    pace.opened(0, 100.0)
    pace.opened(1, 100.0)
    clock.now += 10
    pace.advance(0, 0, 50.0)
    assert pace.read().settled
    reading = pace.read()
    assert (reading.done, reading.speed, reading.eta, reading.share) == (50.0, 5.0, 30.0, 0.25)


def test_there_is_no_time_left_to_tell_before_half_of_the_files_have_told_something() -> None:
    clock = Clock()
    pace = Pace([10] * 4, clock)
    for file in range(4):
        pace.opened(file, 100.0)
    clock.now += 10
    pace.advance(0, 0, 30.0)
    assert pace.read().eta is None
    pace.advance(1, 0, 30.0)
    assert pace.read().eta is not None


def test_channels_of_a_file_are_its_seconds_once() -> None:
    pace = Pace([10], Clock())
    pace.opened(0, 60.0, tracks=2)
    pace.opened(0, 60.0, tracks=2)
    pace.advance(0, 0, 60.0)
    assert (pace.read().done, pace.read().total) == (30.0, 60.0)
    pace.advance(0, 1, 60.0)
    assert pace.read().done == 60.0


def test_a_file_that_ends_is_done_whatever_was_told_of_it_and_one_that_fails_was_none() -> None:
    pace = Pace([10, 10, 10], Clock())
    pace.opened(0, 60.0)
    pace.advance(0, 0, 40.0)  # silence at the end moves nothing
    pace.end(0, failed=False)
    pace.opened(1, 60.0)
    pace.advance(1, 0, 30.0)
    pace.end(1, failed=True)
    pace.end(2, failed=True)
    reading = pace.read()
    assert (reading.done, reading.total, reading.files_ended, reading.estimated) == (60.0, 60.0, 3, False)


@pytest.mark.parametrize(
    ("reading", "shown"),
    [
        (Reading(0.0, None, True, 1.0, 0), "opening"),
        (Reading(0.0, 60.0, True, 1.0, 0), "0%, 0:00 of ~1:00"),
        (Reading(3730.0, 12000.0, True, 43.9, 0), "31%, 1:02:10 of ~3:20:00, 85.0x real time, ETA 1:37"),
        (Reading(30.0, 60.0, False, 1.0, 0, settled=False), "50%, 0:30 of 1:00"),
        (Reading(50.0, 50.0, False, 0.25, 0), "100%, 0:50 of 0:50, 200x real time, ETA 0:00"),
    ],
)
def test_progress_reads_like_a_sentence(reading: Reading, shown: str) -> None:
    assert describe(reading) == shown


def test_times_and_speeds_are_short() -> None:
    assert [clock(seconds) for seconds in (0, 59.6, 3723)] == ["0:00", "1:00", "1:02:03"]
    assert [times(speed) for speed in (0.52, 8.25, 412.3)] == ["0.5x", "8.2x", "412x"]
