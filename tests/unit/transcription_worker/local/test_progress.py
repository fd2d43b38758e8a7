"""The speed and the time left of many files are measured and shown."""

import pytest
from transcription_worker.local.display import clock, describe, times
from transcription_worker.local.progress import FilesProgress, ProgressSnapshot


class Clock:
    now = 100.0

    def __call__(self) -> float:
        return self.now


def test_files_that_nobody_opened_are_guessed_from_their_size() -> None:
    clock = Clock()
    progress = FilesProgress([1000, 1000, 3000], clock)
    assert progress.snapshot().total is None
    progress.begin()
    progress.open(0, 60.0)
    progress.open(1, 30.0)
    snapshot = progress.snapshot()
    # 90 s in 2,000 bytes: 3,000 bytes are 135 s.
    assert (snapshot.total, snapshot.estimated) == (225.0, True)
    progress.open(2, 200.0)
    snapshot = progress.snapshot()
    assert (snapshot.total, snapshot.estimated) == (290.0, False)


def test_speed_and_time_left_count_from_the_engine_on() -> None:
    clock = Clock()
    progress = FilesProgress([10, 10], clock)
    clock.now += 50  # the model is loaded
    progress.begin()
    progress.open(0, 100.0)
    progress.open(1, 100.0)
    clock.now += 10
    progress.advance(0, 0, 50.0)
    assert progress.snapshot().settled
    snapshot = progress.snapshot()
    assert (snapshot.done, snapshot.speed, snapshot.eta, snapshot.share) == (50.0, 5.0, 30.0, 0.25)


def test_there_is_no_time_left_to_tell_before_half_of_the_files_have_told_something() -> None:
    clock = Clock()
    progress = FilesProgress([10] * 4, clock)
    for file in range(4):
        progress.open(file, 100.0)
    clock.now += 10
    progress.advance(0, 0, 30.0)
    assert progress.snapshot().eta is None
    progress.advance(1, 0, 30.0)
    assert progress.snapshot().eta is not None


def test_channels_of_a_file_are_its_seconds_once() -> None:
    progress = FilesProgress([10], Clock())
    progress.open(0, 60.0, tracks=2)
    progress.open(0, 60.0, tracks=2)
    progress.advance(0, 0, 60.0)
    assert (progress.snapshot().done, progress.snapshot().total) == (30.0, 60.0)
    progress.advance(0, 1, 60.0)
    assert progress.snapshot().done == 60.0


def test_a_file_that_ends_is_done_whatever_was_told_of_it_and_one_that_fails_was_none() -> None:
    progress = FilesProgress([10, 10, 10], Clock())
    progress.open(0, 60.0)
    progress.advance(0, 0, 40.0)  # silence at the end moves nothing
    progress.end(0, failed=False)
    progress.open(1, 60.0)
    progress.advance(1, 0, 30.0)
    progress.end(1, failed=True)
    progress.end(2, failed=True)
    snapshot = progress.snapshot()
    assert (snapshot.done, snapshot.total, snapshot.files_ended, snapshot.estimated) == (60.0, 60.0, 3, False)


@pytest.mark.parametrize(
    ("snapshot", "shown"),
    [
        (ProgressSnapshot(0.0, None, True, 1.0, 0), "opening"),
        (ProgressSnapshot(0.0, 60.0, True, 1.0, 0), "0%, 0:00 of ~1:00"),
        (ProgressSnapshot(3730.0, 12000.0, True, 43.9, 0), "31%, 1:02:10 of ~3:20:00, 85.0x real time, ETA 1:37"),
        (ProgressSnapshot(30.0, 60.0, False, 1.0, 0, settled=False), "50%, 0:30 of 1:00"),
        (ProgressSnapshot(50.0, 50.0, False, 0.25, 0), "100%, 0:50 of 0:50, 200x real time, ETA 0:00"),
    ],
)
def test_progress_reads_like_a_sentence(snapshot: ProgressSnapshot, shown: str) -> None:
    assert describe(snapshot) == shown


def test_times_and_speeds_are_short() -> None:
    assert [clock(seconds) for seconds in (0, 59.6, 3723)] == ["0:00", "1:00", "1:02:03"]
    assert [times(speed) for speed in (0.52, 8.25, 412.3)] == ["0.5x", "8.2x", "412x"]
