"""Segments that look wrong are flagged, others are not, and the flags decide the verdict."""

import itertools
import math
import tracemalloc
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from transcription_api.report import QualityCounts
from transcription_api.spec import Decoding, TaskKind
from transcription_worker.engines.protocol import SAMPLE_RATE, InMemory, Options, Samples
from transcription_worker.engines.quality.flags import (
    IMPLAUSIBLE_RATE,
    LOW_CONFIDENCE,
    REPETITION_LOOP,
    TEXT_OVER_SILENCE,
    count_flags,
    flag_segments,
    window_flags,
)
from transcription_worker.engines.speech.loudness import BLOCK_SECONDS, GATE, Loudness

from tests.support import hallucination_audio
from tests.support.long_audio import LongAudio
from tests.support.speech import Utterance, speak

OPTIONS = Options(TaskKind.TRANSCRIBE, None, Decoding())
HOUR = 3600  # seconds

# whisper passes a torch tensor to numpy.argsort.
pytestmark = pytest.mark.filterwarnings("ignore:__array_wrap__ must accept:DeprecationWarning")


def segment(start: float = 0, end: float = 2, text: str = " The cat sees the dog.", **known: Any) -> dict[str, Any]:
    """Return a segment that has nothing wrong with it, except what the arguments say."""
    healthy = {"avg_logprob": -0.2, "compression_ratio": 1.2, "no_speech_prob": 0.01, "temperature": 0.0, "seek": 0}
    return {"start": start, "end": end, "text": text, "tokens": [1, 2, 3]} | healthy | known


def flags_of(*segments: dict[str, Any], audio: "Samples | None" = None, options: Options = OPTIONS) -> list[list[str]]:
    """Return each segment's flags after flag_segments."""
    flag_segments(segments, InMemory(hallucination_audio.tone() if audio is None else audio), options)
    return [one.get("flags", []) for one in segments]


def truthful(utterances: list[Utterance]) -> list[dict[str, Any]]:
    """Return the segments that a perfect decoder would give."""
    return [segment(one.start, one.end, one.text) for one in utterances]


def louder(samples: Samples, utterances: list[Utterance], level: float) -> Samples:
    """Return the speech at a level in dBFS, rounded to 16 bits and clipped to full scale."""
    spoken = np.concatenate([samples[round(u.start * SAMPLE_RATE) : round(u.end * SAMPLE_RATE)] for u in utterances])
    now = 10 * np.log10(np.mean(spoken**2))
    changed: Samples = np.clip(samples * 10 ** ((level - now) / 20), -1, 1)
    return (np.round(changed * 32767) / 32768).astype(np.float32)


def with_noise(samples: Samples, level: float) -> Samples:
    """Return the speech with white noise of a level in dBFS."""
    noise = np.random.default_rng(1).standard_normal(samples.size) * 10 ** (level / 20)
    return np.clip(samples + noise, -1, 1).astype(np.float32)


# --- what is not flagged


def test_a_segment_without_flags_has_no_such_key() -> None:
    healthy, loop = segment(), segment(text=" no" * 20, flags=["old"], end=10)
    flag_segments([healthy, loop], InMemory(hallucination_audio.tone()), OPTIONS)
    assert "flags" not in healthy
    assert loop["flags"] == [REPETITION_LOOP]
    flag_segments([loop | {"text": " The cat."}], InMemory(hallucination_audio.tone()), OPTIONS)


def test_flags_that_were_there_are_forgotten() -> None:
    (flags,) = flags_of(segment(flags=[LOW_CONFIDENCE]))
    assert flags == []


@pytest.mark.parametrize("text", ["", "  "])
def test_a_segment_without_text_is_never_flagged(text: str) -> None:
    silence = np.zeros(SAMPLE_RATE, np.float32)
    assert flags_of(segment(text=text, avg_logprob=-9, no_speech_prob=1, compression_ratio=9), audio=silence) == [[]]


HEARD: dict[str, Callable[[Samples, list[Utterance]], Samples]] = {
    "as it is": lambda samples, _: samples,
    "very quiet": lambda samples, said: louder(samples, said, -50),
    "clipped": lambda samples, said: louder(samples, said, 5),
    "in noise as loud as it": lambda samples, said: with_noise(louder(samples, said, -30), -30),
    "over music": lambda samples, said: louder(samples, said, -25) + louder(hallucination_audio.melody(), said, -25),
    "with digital silence between": lambda samples, _: np.where(np.abs(samples) < 0.01, 0, samples).astype(np.float32),
}


@pytest.mark.parametrize("how", HEARD)
@pytest.mark.parametrize(("language", "seed"), [("en", 1), ("pt", 2)])
def test_the_truth_is_not_flagged(language: str, seed: int, how: str) -> None:
    samples, utterances = speak(language, seed, 30)
    flags = flags_of(*truthful(utterances), audio=HEARD[how](samples, utterances))
    assert flags == [[]] * len(utterances)


def test_times_that_are_off_by_half_a_second_are_not_taken_for_silence() -> None:
    samples, utterances = speak("en", 1, 60)
    for off in (-0.5, 0.5):
        moved = [segment(one.start + off, one.end + off, one.text) for one in utterances]
        assert flags_of(*moved, audio=samples) == [[]] * len(moved)


def test_a_word_beside_which_its_sound_lies_is_not_taken_for_silence() -> None:
    sound = np.zeros(10 * SAMPLE_RATE, np.float32)
    sound[5 * SAMPLE_RATE : 5 * SAMPLE_RATE + 4800] = hallucination_audio.tone()[:4800]  # 0.3 s
    assert flags_of(segment(5.4, 5.6, " Yes."), segment(7.4, 7.6, " Yes."), audio=sound) == [[], [TEXT_OVER_SILENCE]]


# --- each flag


def test_text_in_a_pause_is_flagged() -> None:
    samples, utterances = speak("en", 3, 60)
    pauses = [(a.end, b.start) for a, b in itertools.pairwise(utterances) if b.start - a.end > 1.2]
    assert len(pauses) >= 3
    invented = [segment(start + 0.05, end - 0.05, " Thank you.") for start, end in pauses]
    assert flags_of(*invented, audio=samples) == [[TEXT_OVER_SILENCE]] * len(invented)


@pytest.mark.parametrize("level", [-math.inf, GATE - 5])
def test_text_over_a_silent_file_is_flagged(level: float) -> None:
    silence = with_noise(np.zeros(30 * SAMPLE_RATE, np.float32), level)
    assert (
        flags_of(segment(28, 29.5, " you"), segment(0, 30, " Thank you."), audio=silence) == [[TEXT_OVER_SILENCE]] * 2
    )


def test_more_words_than_there_is_sound_for_are_text_over_silence() -> None:
    click = np.zeros(10 * SAMPLE_RATE, np.float32)
    click[SAMPLE_RATE : SAMPLE_RATE + 4000] = hallucination_audio.tone()[:4000]  # a quarter of a second
    said, invented = segment(0, 3, " Yes, please."), segment(0, 3, " Thank you very much for watching this.")
    assert flags_of(said, invented, audio=click) == [[], [TEXT_OVER_SILENCE]]


@pytest.mark.parametrize(
    ("no_speech", "log_probability", "flagged"),
    [(0.7, -0.6, True), (0.7, -0.4, False), (0.5, -0.6, False), (math.nan, -0.6, False)],
)
def test_an_improbable_text_where_no_speech_was_heard_is_flagged(
    no_speech: float, log_probability: float, flagged: bool
) -> None:
    (flags,) = flags_of(segment(no_speech_prob=no_speech, avg_logprob=log_probability))
    assert flags == [TEXT_OVER_SILENCE] * flagged


def test_a_window_that_compresses_too_well_is_a_loop() -> None:
    assert flags_of(segment(compression_ratio=2.5), segment(compression_ratio=2.4)) == [[REPETITION_LOOP], []]


def test_an_improbable_text_is_flagged_and_a_translation_later() -> None:
    translated = Options(TaskKind.TRANSLATE, None, Decoding())
    assert flags_of(segment(avg_logprob=-0.71), segment(avg_logprob=-0.69)) == [[LOW_CONFIDENCE], []]
    assert flags_of(segment(avg_logprob=-1.01), segment(avg_logprob=-0.99), options=translated) == [
        [LOW_CONFIDENCE],
        [],
    ]
    assert (
        window_flags([segment(avg_logprob=-0.8)], InMemory(hallucination_audio.tone()), task=TaskKind.TRANSLATE)
        == frozenset()
    )


@pytest.mark.parametrize(
    ("probabilities", "flagged"),
    [((0.1, 0.1, 0.9, 0.9), True), ((0.1, 0.9, 0.9, 0.9), False), ((0.1, 0.1), False), ((), False)],
)
def test_a_segment_of_improbable_words_is_flagged(probabilities: tuple[float, ...], flagged: bool) -> None:
    words = [{"word": " word", "start": 0, "end": 1, "probability": one} for one in probabilities]
    assert flags_of(segment(words=words)) == [[LOW_CONFIDENCE] * flagged]


@pytest.mark.parametrize(
    ("seconds", "text", "flagged"),
    [
        (0.06, " Dois nove zero oito um.", True),
        (0.5, " One two three four five six seven eight nine.", True),
        (0.2, " I don't know.", False),
        (3.0, " " + " ".join(f"w{number}" for number in range(24)), False),  # 8 a second
        (2.0, " " + " ".join(f"w{number}" for number in range(24)), True),
        (2.0, "我们今天下午去公园散步吧好吗", False),  # 7 characters a second
        (1.0, "我们今天下午去公园散步吧好吗明天上午再一起去图书馆看书", True),
    ],
)
def test_more_words_than_anybody_can_say_are_flagged(seconds: float, text: str, flagged: bool) -> None:
    (flags,) = flags_of(segment(1, 1 + seconds, text))
    assert (IMPLAUSIBLE_RATE in flags) == flagged


def test_hardly_any_words_over_half_a_minute_of_sound_are_flagged() -> None:
    tune = hallucination_audio.melody()
    assert flags_of(segment(0, 29, " Thank you."), segment(0, 29, " one two three four five"), audio=tune) == [
        [IMPLAUSIBLE_RATE],
        [],
    ]


def test_hardly_any_words_in_a_long_silence_with_speech_in_it_are_not_flagged() -> None:
    samples, utterances = speak("en", 1, 6)
    alone = samples.copy()
    alone[round((utterances[0].end + 0.1) * SAMPLE_RATE) :] = 0
    quiet = np.concatenate([np.zeros(20 * SAMPLE_RATE, np.float32), alone])
    assert flags_of(segment(1, 25, utterances[0].text), audio=with_noise(quiet, -60)) == [[]]


# --- windows


def test_a_window_has_the_flags_of_its_segments() -> None:
    loudness = Loudness(
        InMemory(np.concatenate([hallucination_audio.tone()[: 5 * SAMPLE_RATE], np.zeros(5 * SAMPLE_RATE, np.float32)]))
    )
    segments = [segment(0, 2), segment(2, 4, avg_logprob=-0.9), segment(6, 9)]
    assert window_flags(segments, loudness) == {LOW_CONFIDENCE, TEXT_OVER_SILENCE}
    assert window_flags(segments[:1], loudness) == frozenset()
    assert window_flags([], loudness) == frozenset()
    assert all("flags" not in one for one in segments)


def test_a_loop_across_windows_is_a_loop_of_the_window_that_it_reaches() -> None:
    loudness = Loudness(InMemory(hallucination_audio.tone()))
    window = [segment(text=" Thank you.")]
    assert window_flags(window, loudness, [" Thank you."] * 4) == {REPETITION_LOOP}
    assert window_flags(window, loudness, [" Thank you."] * 3) == frozenset()
    assert window_flags([segment()], loudness, [" Thank you."] * 9) == frozenset()


# --- long files


def test_ten_hours_are_flagged_in_little_memory_and_read_in_blocks() -> None:
    samples, utterances = speak("en", 1, 60)
    audio = LongAudio(samples, 10 * HOUR)
    said = [
        segment(at + one.start, at + one.end, f"{one.text} {at}")
        for at in range(0, audio.seconds, 60)
        for one in utterances[:2]
    ]
    tracemalloc.start()
    flag_segments([*said, segment(0, audio.seconds, "all of it " * 20)], audio, OPTIONS)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert not any("flags" in one for one in said)
    assert peak < 16 << 20  # of 2.3 GB
    assert max(count for _, count in audio.reads) <= BLOCK_SECONDS * SAMPLE_RATE


# --- counts and verdict


def counted(flagged: int, of: int, seconds: float = 2) -> QualityCounts:
    """Count `of` segments of 2 s, of which `flagged` have a flag and last `seconds`."""
    bad = [segment(0, seconds, flags=[LOW_CONFIDENCE]) for _ in range(flagged)]
    return count_flags([*bad, *(segment() for _ in range(of - flagged))])


def test_segments_are_counted_by_flag_and_retried_windows_are_told() -> None:
    segments = [segment(flags=[LOW_CONFIDENCE, TEXT_OVER_SILENCE]), segment(flags=[TEXT_OVER_SILENCE]), segment()]
    segments += [segment(flags=[REPETITION_LOOP, IMPLAUSIBLE_RATE])]
    counts = count_flags(segments, retried_windows=3)
    assert counts == QualityCounts("bad", 1, 2, 1, 1, 3)


@pytest.mark.parametrize(
    ("flagged", "of", "verdict"),
    [
        (0, 0, "good"),
        (0, 50, "good"),
        (1, 51, "good"),
        (1, 50, "doubtful"),
        (12, 50, "doubtful"),
        (13, 50, "bad"),
        (1, 1, "bad"),
    ],
)
def test_the_verdict_follows_the_share_of_flagged_segments(flagged: int, of: int, verdict: str) -> None:
    assert counted(flagged, of).verdict == verdict


def test_the_verdict_follows_the_share_of_seconds_where_that_is_more() -> None:
    assert counted(1, 100).verdict == "good"
    assert counted(1, 100, seconds=30).verdict == "doubtful"
    assert counted(2, 40, seconds=30).verdict == "bad"


def test_segments_without_text_count_for_nothing() -> None:
    empty = [segment(0, 30, "") for _ in range(100)]
    assert count_flags([*empty, segment(flags=[LOW_CONFIDENCE])]).verdict == "bad"
