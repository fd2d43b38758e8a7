"""How long an engine waited for audio is its time by the share of its places that stood empty."""

import itertools

import pytest
from transcription_worker.engines.audio_wait import AudioWait


def test_a_share_of_empty_places_is_a_share_of_the_time() -> None:
    times = itertools.chain((0.0, 10.0), (50.0, 54.0), (54.0, 60.0))
    wait = AudioWait(lambda: next(times))
    for empty in (0.0, 0.25, 1.0):
        with wait.measured(empty):
            pass
    assert (wait.waited, wait.seconds) == (7.0, 20.0)


def test_the_time_of_a_round_that_fails_counts() -> None:
    times = iter((0.0, 3.0))
    wait = AudioWait(lambda: next(times))
    with pytest.raises(RuntimeError), wait.measured(1.0):
        raise RuntimeError
    assert (wait.waited, wait.seconds) == (3.0, 3.0)
