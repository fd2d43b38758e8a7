"""Levels of frames are measured, and silence is found in a file of any length."""

import itertools
import tracemalloc

import numpy as np
import pytest
from transcription_worker.engines.protocol import SAMPLE_RATE, InMemory, Samples
from transcription_worker.engines.speech.loudness import (
    BLOCK_SECONDS,
    FRAME,
    FRAMES_PER_SECOND,
    GATE,
    LOWEST,
    SAMPLED_SECONDS,
    Loudness,
    frame_levels,
    quietest_frame,
    sampled_levels,
)

from tests.support.hallucination_audio import tone
from tests.support.long_audio import LongAudio
from tests.support.speech import Utterance, noise, speak

HOUR = 3600  # seconds


def white(seconds: float, level: float) -> Samples:
    """Return white noise of a level in dBFS."""
    draw = np.random.default_rng(1)
    return (draw.standard_normal(round(seconds * SAMPLE_RATE)) * 10 ** (level / 20)).astype(np.float32)


def spoken_levels(samples: Samples, utterances: list[Utterance]) -> np.ndarray:
    """Return the levels of the frames in which somebody speaks."""
    return np.concatenate(
        [level for one in utterances for level in Loudness(InMemory(samples)).levels(one.start, one.end)]
    )


def test_levels_are_decibels_below_a_full_scale_square_wave() -> None:
    assert frame_levels(np.ones(FRAME, np.float32)) == pytest.approx([0.0])
    assert frame_levels(tone()[: 10 * FRAME]) == pytest.approx([20 * np.log10(0.3) - 3.01] * 10, abs=0.3)
    assert frame_levels(np.zeros(FRAME, np.float32)) == pytest.approx([LOWEST])


def test_a_rest_is_left_out_unless_it_is_all_there_is() -> None:
    assert frame_levels(np.ones(2 * FRAME + 5, np.float32)).size == 2
    assert frame_levels(np.ones(FRAME // 2, np.float32)) == pytest.approx([-3.01], abs=0.01)
    assert frame_levels(np.ones(0, np.float32)).size == 0


@pytest.mark.parametrize(("language", "seed"), [("en", 1), ("en", 2), ("pt", 1), ("pt", 2)])
def test_speech_is_above_the_silence_of_its_file_and_the_pauses_are_below(language: str, seed: int) -> None:
    samples, utterances = speak(language, seed, 60)
    loudness = Loudness(InMemory(samples))
    assert (spoken_levels(samples, utterances) > loudness.bounds.silent).mean() > 0.8
    for before, after in itertools.pairwise(utterances):
        (heard,) = loudness.seconds_above(before.end + 0.05, after.start - 0.05, loudness.bounds.silent)
        assert heard == 0


@pytest.mark.parametrize("level", [-15, -40, -65])
def test_steady_noise_is_never_called_silent_nor_surely_sounding(level: int) -> None:
    loudness = Loudness(InMemory(white(20, level)))
    heard, sounding = loudness.seconds_above(0, 20, loudness.bounds.silent, loudness.bounds.sounding)
    assert heard == pytest.approx(20, abs=0.1)
    assert sounding == 0


def test_a_tone_without_a_pause_is_never_called_silent() -> None:
    loudness = Loudness(InMemory(tone()))
    assert loudness.seconds_above(0, 30, loudness.bounds.silent) == (30,)


@pytest.mark.parametrize("samples", [np.zeros(SAMPLE_RATE, np.float32), white(5, -80), np.zeros(0, np.float32)])
def test_what_is_below_the_gate_is_silent(samples: Samples) -> None:
    loudness = Loudness(InMemory(samples))
    assert loudness.bounds.silent == GATE
    assert loudness.seconds_above(0, 5, loudness.bounds.silent) == (0,)


def test_quiet_speech_is_not_silence() -> None:
    samples, utterances = speak("en", 1, 30)
    level = 10 * np.log10(
        np.mean(np.concatenate([samples[round(u.start * 16000) : round(u.end * 16000)] for u in utterances]) ** 2)
    )
    quiet = np.round(samples * 10 ** ((-50 - level) / 20) * 32768).astype(np.float32) / 32768  # 16 bits
    loudness = Loudness(InMemory(quiet))
    for one in utterances:
        (heard,) = loudness.seconds_above(one.start, one.end, loudness.bounds.silent)
        assert heard > 0.5 * (one.end - one.start)


def test_levels_of_a_long_stretch_are_those_of_its_blocks() -> None:
    samples = noise(1, 2 * BLOCK_SECONDS + 7)
    blocks = list(Loudness(InMemory(samples)).levels(0, 1000))
    assert [block.size for block in blocks] == [BLOCK_SECONDS * FRAMES_PER_SECOND] * 2 + [7 * FRAMES_PER_SECOND]
    np.testing.assert_array_equal(np.concatenate(blocks), frame_levels(samples))


def test_nothing_is_heard_before_the_start_and_after_the_end() -> None:
    loudness = Loudness(InMemory(np.ones(SAMPLE_RATE, np.float32)))
    assert loudness.seconds_above(-3, 0, GATE) == (0,)
    assert loudness.seconds_above(-3, 0.5, GATE) == (0.5,)
    assert loudness.seconds_above(1, 9, GATE) == (0,)


def test_a_file_of_ten_hours_is_sampled_evenly() -> None:
    audio = LongAudio(noise(1, 60), 10 * HOUR)
    tracemalloc.start()
    levels = sampled_levels(audio)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert levels.size == SAMPLED_SECONDS * FRAMES_PER_SECOND
    assert peak < 8 << 20
    starts = [start for start, _ in audio.reads]
    assert {count for _, count in audio.reads} == {SAMPLE_RATE}
    assert max(np.diff(starts)) <= 21 * SAMPLE_RATE  # ten hours by 1800
    assert starts[0] == 0
    assert starts[-1] == audio.count - SAMPLE_RATE


def test_the_bounds_are_measured_once() -> None:
    audio = LongAudio(noise(1, 60), HOUR)
    loudness = Loudness(audio)
    assert not audio.reads
    assert loudness.bounds is loudness.bounds
    assert len(audio.reads) == SAMPLED_SECONDS
    assert Loudness.of(loudness) is loudness


def test_the_quietest_place_is_the_middle_of_the_quietest_stretch() -> None:
    levels = np.full(100, -20, np.float32)
    levels[10] = -90  # quieter, but short
    levels[40:50] = -50
    assert quietest_frame(levels, 10) == 45
    assert quietest_frame(levels[:5], 10) == 2
