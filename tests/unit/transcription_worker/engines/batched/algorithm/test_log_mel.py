"""Log-mel windows are computed piece by piece, and equal those that openai-whisper cuts from the whole file's."""

from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest
import torch
import whisper
from transcription_worker.engines.batched.algorithm.log_mel import BLOCK_FRAMES, CACHED_FRAMES, LogMel
from transcription_worker.engines.protocol import InMemory, Samples
from whisper.audio import HOP_LENGTH, N_FRAMES, N_SAMPLES, SAMPLE_RATE

from tests.support.speech import speak

QUIET = 1e-4
# The results were equal bit for bit where this was measured, but another CPU may add in another order.
TOLERANCE = 0.0 if torch.backends.cpu.get_cpu_capability() == "AVX512" else 1e-6
LENGTHS = [
    *(0, 1, 2, 159, 160, 161, 199, 200, 201, 399, 400, 401),
    *(round(seconds * SAMPLE_RATE) for seconds in (0.2, 2, 29.9)),
    *(N_SAMPLES - 1, N_SAMPLES, N_SAMPLES + 1),
    *(round(seconds * SAMPLE_RATE) for seconds in (30.1, 119.99, 120, 120.01, 150, 601)),
]


@pytest.fixture(autouse=True)
def one_thread() -> Iterator[None]:
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


class RecordingAudio(InMemory):
    """Audio that records the greatest number of samples read at a time."""

    most = 0

    def read(self, start: int, count: int) -> Samples:
        assert start >= 0
        RecordingAudio.most = max(RecordingAudio.most, count)
        return super().read(start, count)


def noise(count: int, seed: int = 0) -> Samples:
    drawn: Samples = (np.random.default_rng(seed).standard_normal(count) * 0.1).astype(np.float32)
    return drawn


def whole(samples: Samples, n_mels: int) -> torch.Tensor:
    """Return the spectrogram of the whole audio as whisper.transcribe computes it."""
    mel: torch.Tensor = whisper.log_mel_spectrogram(samples, n_mels, padding=N_SAMPLES)
    return mel


def seeks(frames: int) -> list[int]:
    """Return positions at the start, at the end and past it, and within blocks and where they join."""
    near = [0, 1, 7, frames // 2, frames - N_FRAMES, frames - 1, frames, frames + 1, frames + N_FRAMES - 1]
    joints = [BLOCK_FRAMES - 1, BLOCK_FRAMES, CACHED_FRAMES - 1, CACHED_FRAMES]
    past = [frames + N_FRAMES, frames + 2 * N_FRAMES]
    inside = [seek for seek in near + joints + list(range(0, frames, 6007)) if 0 <= seek < frames + N_FRAMES]
    return sorted({*inside, *past})


def require_equal(samples: Samples, n_mels: int) -> None:
    expected = whole(samples, n_mels)
    mel = LogMel(InMemory(samples), n_mels)
    assert mel.frames == expected.shape[-1] - N_FRAMES
    for seek in seeks(mel.frames):
        for size in (N_FRAMES, 1000, 1):
            window = mel.window(seek, size)
            cut = whisper.pad_or_trim(expected[:, seek : seek + size], N_FRAMES)
            assert window.shape == cut.shape
            assert (window - cut).abs().max() <= TOLERANCE, f"{samples.size} samples, frames {seek} to {seek + size}"


@pytest.mark.parametrize("n_mels", [80, 128])
@pytest.mark.parametrize("count", LENGTHS)
def test_windows_of_any_length_and_place_are_whispers(count: int, n_mels: int) -> None:
    require_equal(noise(count), n_mels)


@pytest.mark.parametrize("seconds", [25, 61, 400])
@pytest.mark.parametrize("loud", ["start", "middle", "end", "nowhere"])
def test_the_maximum_of_another_window_clamps_as_it_does_in_whisper(seconds: int, loud: str) -> None:
    samples = noise(seconds * SAMPLE_RATE + 77)
    at = {"start": 0, "middle": samples.size // 2, "end": samples.size - 800, "nowhere": samples.size}[loud]
    samples[:at] *= QUIET
    samples[at + 800 :] *= QUIET
    require_equal(samples, 80)


def test_a_click_in_the_very_last_sample_counts() -> None:
    """The frames of the last sample reach into the padding, past the content."""
    for count in (200 * SAMPLE_RATE, 200 * SAMPLE_RATE + 159, 20 * SAMPLE_RATE + 1):
        samples = noise(count) * np.float32(QUIET)
        samples[-1] = 1.0
        require_equal(samples, 80)


@pytest.mark.parametrize("seconds", [10, 200])
def test_silence_is_as_even_as_whispers(seconds: int) -> None:
    require_equal(np.zeros(seconds * SAMPLE_RATE, np.float32), 80)


def test_speech_is_equal_too() -> None:
    samples, _ = speak("en", 601, 150)
    require_equal(samples, 80)


def test_halves_are_rounded_after_the_clamping() -> None:
    samples = noise(140 * SAMPLE_RATE)
    half = LogMel(InMemory(samples), 80).window(500, N_FRAMES, torch.float16)
    assert half.dtype == torch.float16
    assert (half - whole(samples, 80)[:, 500 : 500 + N_FRAMES].half()).abs().max() <= (1e-3 if TOLERANCE else 0.0)


def test_no_more_than_a_block_is_ever_read_at_a_time() -> None:
    mel = LogMel(RecordingAudio(noise(601 * SAMPLE_RATE)), 80)
    for seek in range(0, mel.frames, 1000):
        mel.window(seek, N_FRAMES)
    assert 0 < RecordingAudio.most <= BLOCK_FRAMES * HOP_LENGTH + 400


def test_openai_whisper_gives_an_empty_transcript_for_no_samples() -> None:
    """An engine must give the same for an Audio without samples, although files without samples are refused before."""
    from tests.support.testmodel import model_path

    model: Any = whisper.load_model(str(model_path()), device="cpu")
    result = model.transcribe(np.zeros(0, np.float32), fp16=False)
    assert (result["text"], result["segments"]) == ("", [])
    assert LogMel(InMemory(np.zeros(0, np.float32)), 80).frames == 0
