"""Audio is cut into chunks in silences, never where somebody speaks."""

import itertools
import sys
import threading
import tracemalloc
import warnings

import numpy as np
import pytest
import torch
from transcription_worker.engines.protocol import SAMPLE_RATE, InMemory, Samples
from transcription_worker.engines.speech import voice_activity
from transcription_worker.engines.speech.chunks import (
    FRAMES_PER_SECOND,
    MAX_CHUNK,
    PADDING,
    Chunk,
    SpeechSpan,
    find_chunks,
    merge_speech,
)
from transcription_worker.engines.speech.voice_activity import FRAME, FRAMES_PER_BLOCK, detector, find_speech

from tests.support import hallucination_audio
from tests.support.long_audio import LongAudio
from tests.support.speech import Utterance, noise, speak

SECONDS = FRAMES_PER_SECOND  # frames in one


def stretches(*seconds: tuple[float, float]) -> list[SpeechSpan]:
    return [SpeechSpan(round(start * SECONDS), round(end * SECONDS)) for start, end in seconds]


def inside(chunks: list[Chunk], utterance: Utterance) -> bool:
    """Return whether one of the chunks contains the whole utterance."""
    return any(chunk.start <= utterance.start and utterance.end <= chunk.end for chunk in chunks)


# --- joining stretches of speech


def test_no_speech_is_no_piece() -> None:
    assert merge_speech([], 0, 100) == []


def test_a_chunk_keeps_a_margin_around_speech_within_its_range() -> None:
    assert merge_speech(stretches((5, 8)), 0, 20 * SECONDS) == [Chunk(4.7, 8.3)]
    assert merge_speech(stretches((5, 8)), 490, 810) == [Chunk(4.9, 8.1)]


def test_what_fits_a_window_is_one_chunk_whatever_the_silence_in_it() -> None:
    assert merge_speech(stretches((0.5, 2), (27, 29.5)), 0, 60 * SECONDS) == [Chunk(0.2, 29.8)]


def test_a_short_silence_is_cut_in_its_middle_and_a_long_one_left_out() -> None:
    short, long = (merge_speech(stretches((0, 20), (20 + gap, 45)), 0, 45 * SECONDS) for gap in (0.4, 4))
    assert short == [Chunk(0, 20.2), Chunk(20.2, 45)]
    assert long == [Chunk(0, 20.3), Chunk(23.7, 45)]


def test_the_longest_silence_is_cut_where_the_number_of_chunks_stays() -> None:
    speech = stretches((0, 10), (10.2, 18), (18.5, 27), (27.1, 40))
    assert merge_speech(speech, 0, 40 * SECONDS) == [Chunk(0, 18.25), Chunk(18.25, 40)]


def test_a_chunk_more_is_worth_a_pause_between_sentences() -> None:
    # Two chunks could only be cut in silences of a hundredth of a second.
    speech = stretches((0, 15), (16, 29), (29.01, 45), (46, 60))
    assert [chunk.end for chunk in merge_speech(speech, 0, 60 * SECONDS)] == [15.3, 45.3, 60]


def test_stretches_that_touch_are_cut_where_they_touch() -> None:
    assert merge_speech(stretches((0, 25), (25, 50)), 0, 50 * SECONDS) == [Chunk(0, 25), Chunk(25, 50)]


@pytest.mark.parametrize("seed", range(20))
def test_chunks_of_any_speech_hold_all_of_it_once_and_fit_a_window(seed: int) -> None:
    draw = np.random.default_rng(seed)
    lengths = draw.integers(5, 1200, size=200)
    gaps = np.where(draw.random(200) < 0.1, draw.integers(500, 4000, size=200), draw.integers(10, 200, size=200))
    ends = np.cumsum(lengths + gaps)
    speech = [SpeechSpan(int(end - length), int(end)) for end, length in zip(ends, lengths, strict=True)]
    chunks = merge_speech(speech, 0, int(ends[-1]))
    assert all(0 < round((chunk.end - chunk.start) * SECONDS) <= MAX_CHUNK for chunk in chunks)
    assert all(before.end <= after.start for before, after in itertools.pairwise(chunks))
    held = [
        [one for one in speech if chunk.start * SECONDS <= one.start and one.end <= chunk.end * SECONDS]
        for chunk in chunks
    ]
    assert [one for part in held for one in part] == speech
    # A better cut may cost half a chunk.
    assert len(chunks) <= 1.5 * greedy(speech)


def greedy(speech: list[SpeechSpan]) -> int:
    """Return the smallest number of chunks that hold all spans of speech."""
    count, begin = 0, -(10**9)
    for one in speech:
        if one.end + PADDING - begin > MAX_CHUNK:
            count, begin = count + 1, one.start - PADDING
    return count


# --- the detector


@pytest.mark.parametrize("language", ["en", "pt"])
def test_the_detector_judges_as_silero_frame_by_frame_does(language: str) -> None:
    samples, _ = speak(language, 5, 40)  # more than a block
    assert samples.size > FRAMES_PER_BLOCK * FRAME
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # torch.jit.load is deprecated
        import silero_vad

        expected = silero_vad.load_silero_vad().audio_forward(torch.from_numpy(samples), SAMPLE_RATE)[0]
    judged = [one for block in detector().probabilities(InMemory(samples), 0, samples.size) for one in block]
    np.testing.assert_allclose(judged, expected.numpy(), atol=1e-4)


def test_loading_the_detector_leaves_the_number_of_threads_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    before = torch.get_num_threads()
    try:
        torch.set_num_threads(2)
        for name in list(sys.modules):
            if name.partition(".")[0] == "silero_vad":
                monkeypatch.delitem(sys.modules, name)
        voice_activity._silero.cache_clear()
        detector.cache_clear()
        detector()
        assert torch.get_num_threads() == 2
    finally:
        torch.set_num_threads(before)


def test_speech_is_found_in_every_thread_and_in_inference_mode_alike() -> None:
    samples, _ = speak("en", 6, 20)
    audio, found = InMemory(samples), []
    detector.cache_clear()
    with torch.inference_mode():
        found.append(find_speech(audio, 0, audio.count))
    threads = [threading.Thread(target=lambda: found.append(find_speech(audio, 0, audio.count))) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(found) == 5
    assert all(one == found[0] for one in found)


# --- chunks of audio


@pytest.mark.parametrize("language", ["en", "pt"])
@pytest.mark.parametrize("seed", [41, 42, 43])
def test_every_utterance_lies_in_one_piece(language: str, seed: int) -> None:
    samples, utterances = speak(language, seed, 180)
    chunks = find_chunks(InMemory(samples))
    assert [one.text for one in utterances if not inside(chunks, one)] == []
    assert all(chunk.end - chunk.start <= 30 for chunk in chunks)
    assert len(chunks) <= 8  # six windows of 30 s would hold it


@pytest.mark.parametrize("level", [-50, -65])
def test_quiet_utterances_lie_in_one_piece(level: int) -> None:
    samples, utterances = speak("en", 44, 60)
    quiet = np.round(samples * 10 ** (level / 20) / np.sqrt(np.mean(samples**2)) * 32767).astype(np.float32) / 32768
    assert all(inside(find_chunks(InMemory(quiet)), one) for one in utterances)


def test_utterances_in_noise_as_loud_as_they_are_lie_in_one_piece() -> None:
    samples, utterances = speak("pt", 45, 60)
    level = np.sqrt(np.mean(samples**2))
    noisy = (samples + np.random.default_rng(1).standard_normal(samples.size) * level).astype(np.float32)
    assert all(inside(find_chunks(InMemory(noisy)), one) for one in utterances)


@pytest.mark.parametrize(
    "sound", [noise(1, 40), hallucination_audio.tone(), hallucination_audio.bursts(), np.zeros(0, np.float32)]
)
def test_sound_without_speech_has_no_piece(sound: Samples) -> None:
    assert find_chunks(InMemory(sound)) == []


def test_silence_is_left_out() -> None:
    samples, utterances = speak("en", 46, 20)
    gap = noise(2, 120)
    chunks = find_chunks(InMemory(np.concatenate([gap, samples, gap, samples, gap])))
    assert len(chunks) == 2
    assert chunks[0].start == pytest.approx(120 + utterances[0].start - 0.3, abs=0.15)
    assert chunks[0].end == pytest.approx(120 + utterances[-1].end + 0.3, abs=0.15)
    assert chunks[1].start - chunks[0].start == pytest.approx(140, abs=0.05)


def test_a_clip_has_its_own_chunks_and_nothing_from_outside() -> None:
    samples, utterances = speak("en", 47, 60)
    cut = (utterances[2].start + utterances[2].end) / 2
    chunks = find_chunks(InMemory(samples), [(5.004, cut), (40.0, None)])
    assert chunks[0].start >= 5.0
    assert max(chunk.end for chunk in chunks if chunk.start < cut) == pytest.approx(cut, abs=0.01)
    assert all(chunk.end <= round(cut, 2) or chunk.start >= 40 for chunk in chunks)
    assert all(inside(chunks, one) for one in utterances if one.start > 40.1)
    assert find_chunks(InMemory(samples), [(70.0, 80.0)]) == []
    assert find_chunks(InMemory(samples), [(0.0, 999.0)]) == find_chunks(InMemory(samples))


def test_speech_without_a_pause_is_cut_at_its_quietest_places() -> None:
    parts = [speak("en", seed, 12) for seed in range(60, 70)]
    spoken = [
        samples[round(u.start * SAMPLE_RATE) : round(u.end * SAMPLE_RATE)] for samples, said in parts for u in said
    ]
    flowing = np.concatenate(spoken)  # no gaps at all
    chunks = find_chunks(InMemory(flowing))
    assert all(chunk.end - chunk.start <= 30 for chunk in chunks)
    assert sum(chunk.end - chunk.start for chunk in chunks) > 0.97 * flowing.size / SAMPLE_RATE


def test_a_sound_taken_for_speech_throughout_is_cut_in_its_dips(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("transcription_worker.engines.speech.voice_activity.THRESHOLD", 0.0)  # all is speech
    times = np.arange(70 * SAMPLE_RATE) / SAMPLE_RATE
    dips = [20.0, 45.0]
    level = np.prod([1 - 0.9 * (np.abs(times - dip) < 0.3) for dip in dips], axis=0)
    chunks = find_chunks(InMemory((np.sin(times * 3000) * 0.3 * level).astype(np.float32)))
    assert [chunk.end for chunk in chunks[:-1]] == pytest.approx(dips, abs=0.3)
    assert (chunks[0].start, chunks[-1].end) == (0, 70)
    assert all(before.end == after.start for before, after in itertools.pairwise(chunks))


def test_chunks_are_the_same_each_time() -> None:
    samples, _ = speak("pt", 48, 90)
    assert find_chunks(InMemory(samples)) == find_chunks(InMemory(samples))


def test_memory_does_not_grow_with_the_audio() -> None:
    samples, _ = speak("en", 49, 60)
    find_chunks(InMemory(samples))  # the detector is there
    peaks = []
    for minutes in (2, 20):
        audio = LongAudio(samples, minutes * 60)
        tracemalloc.start()
        find_chunks(audio)
        peaks.append(tracemalloc.get_traced_memory()[1])
        tracemalloc.stop()
        assert max(count for _, count in audio.reads) <= FRAMES_PER_BLOCK * FRAME
    assert peaks[1] < peaks[0] + (1 << 20)
