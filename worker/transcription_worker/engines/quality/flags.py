"""Flags on segments whose text the audio hardly bears out; docs/quality.md says what each means and what to do.

They come from what the decoder knows (log probability, compression ratio, probability of no speech, words' probabilities),
from the text, and from the audio's energy. Segments are openai-whisper's dictionaries, of any engine.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

from transcription_api.report import QualityCounts
from transcription_api.spec import TaskKind

from transcription_worker.engines.protocol import Audio, Options
from transcription_worker.engines.quality.repetition import count_words, looped, units
from transcription_worker.engines.speech.loudness import Loudness

Segment = dict[str, Any]

REPETITION_LOOP = "repetition-loop"
TEXT_OVER_SILENCE = "text-over-silence"
LOW_CONFIDENCE = "low-confidence"
IMPLAUSIBLE_RATE = "implausible-rate"
FLAGS = (REPETITION_LOOP, TEXT_OVER_SILENCE, LOW_CONFIDENCE, IMPLAUSIBLE_RATE)

# Above it, the text of a window repeats itself: whisper.transcribe's own threshold. A window that still exceeds it is the last
# of all temperatures, so the number holds here whatever decoding.compressionRatioThreshold says.
COMPRESSION_RATIO = 2.4

# Natural logarithm, mean over a window's tokens. whisper.transcribe refuses a text below -1.0; but tiny.en, on English sentences
# in noise, had 37 segments below -0.7, of which one was right and the mean had more errors than words, and of 94 above
# -0.6 the mean had 24% errors. A translation has many wordings, each less probable: there it is -1.0.
LOG_PROBABILITY = -0.7
TRANSLATION_LOG_PROBABILITY = -1.0

# Probability that nobody speaks in the window, above which whisper.transcribe leaves out an improbable text; and how probable a
# text is believed nevertheless. tiny.en heard no speech (0.70) in clean speech whose text was right (-0.40).
NO_SPEECH = 0.6
NO_SPEECH_LOG_PROBABILITY = -0.5

IMPROBABLE_WORD = 0.15  # probability; whisper.transcribe counts a word below it as an anomaly
IMPROBABLE_SHARE = 0.5  # of a segment's words
IMPROBABLE_MIN = 3  # words: a segment with fewer is not judged by them

SOUND_A_WORD = 0.05  # seconds; nobody says twenty words a second
HEARD_SPAN = 1.0  # seconds; a shorter segment is listened to for so long, for its times may be off by half of it
# Words a second. Talk has 2 to 4, the fastest debaters reach 8 (500 a minute).
FASTEST = 8.0
FASTEST_SLACK = 0.5  # seconds by which a segment's times may be off
# Words for each second that is not silent, in segments with at least SLOWEST_SECONDS of those: sound that is not speech, or
# speech that is not in the text. Silence does not count: a segment's times often begin or end in it.
SLOWEST = 0.2
SLOWEST_SECONDS = 10.0

GOOD, DOUBTFUL, BAD = "good", "doubtful", "bad"
# Shares of the segments with text, or of their seconds, whichever is more.
DOUBTFUL_SHARE = 0.02  # flagged; from here on a reader meets one every other minute or so
BAD_SHARE = 0.25  # flagged


@dataclass(frozen=True)
class Judged:
    """A segment, how many words it has, and whether they are part of a loop."""

    segment: Segment
    words: float
    loops: bool

    @property
    def seconds(self) -> float:
        return float(self.segment["end"] - self.segment["start"])


def flag_segments(segments: Sequence[Segment], audio: Audio | Loudness, options: Options) -> None:
    """Sets "flags", a sorted list of FLAGS, on the segments that deserve one; others get no such key.

    `segments`: all of one input, in order, with times in seconds of `audio`, which is read in blocks.
    """
    loudness, texts = Loudness.of(audio), [units(segment["text"]) for segment in segments]
    loops = looped(texts)
    for index, (segment, text) in enumerate(zip(segments, texts, strict=True)):
        segment.pop("flags", None)
        if flags := _flags_of(Judged(segment, count_words(text), index in loops), loudness, options.task):
            segment["flags"] = sorted(flags)


def window_flags(
    segments: Sequence[Segment],
    audio: Audio | Loudness,
    previous: Sequence[str] = (),
    task: TaskKind = TaskKind.TRANSCRIBE,
) -> frozenset[str]:
    """Flags of any of the segments of one decoded window. `previous`: texts of the segments before it, for loops.

    Cheap with a Loudness that is kept between windows; an Audio is measured anew each time.
    """
    loudness, texts = Loudness.of(audio), [units(segment["text"]) for segment in segments]
    before = [units(text) for text in previous]
    loops = {index - len(before) for index in looped([*before, *texts])}
    judged = (
        Judged(*one, index in loops) for index, one in enumerate(zip(segments, map(count_words, texts), strict=True))
    )
    return frozenset().union(*(_flags_of(one, loudness, task) for one in judged))


def count_flags(segments: Iterable[Segment], retried_windows: int = 0) -> QualityCounts:
    """Of one input's segments, after flag_segments."""
    spoken = [segment for segment in segments if _has_text(segment)]
    flags = [flag for segment in spoken for flag in segment.get("flags", ())]
    return QualityCounts(
        verdict=decide_verdict(spoken),
        repetition_loops=flags.count(REPETITION_LOOP),
        text_over_silence=flags.count(TEXT_OVER_SILENCE),
        low_confidence=flags.count(LOW_CONFIDENCE),
        implausible_rate=flags.count(IMPLAUSIBLE_RATE),
        retried_windows=retried_windows,
    )


def decide_verdict(spoken: Sequence[Segment]) -> str:
    """good, doubtful or bad, by how much of the segments with text is flagged. No text is good: nobody may have spoken."""
    flagged = [segment for segment in spoken if segment.get("flags")]
    if not flagged:
        return GOOD
    share = max(len(flagged) / len(spoken), _seconds(flagged) / max(_seconds(spoken), 1e-3))
    if share < DOUBTFUL_SHARE:
        return GOOD
    return BAD if share >= BAD_SHARE else DOUBTFUL


def _seconds(segments: Iterable[Segment]) -> float:
    return float(sum(segment["end"] - segment["start"] for segment in segments))


def _has_text(segment: Segment) -> bool:
    return bool(segment["text"].strip())


def _flags_of(one: Judged, loudness: Loudness, task: TaskKind) -> set[str]:
    if not _has_text(one.segment):
        return set()
    found = {
        REPETITION_LOOP: one.loops or one.segment["compression_ratio"] > COMPRESSION_RATIO,
        TEXT_OVER_SILENCE: _is_over_silence(one, loudness),
        LOW_CONFIDENCE: _is_improbable(one.segment, task),
        IMPLAUSIBLE_RATE: one.words > FASTEST * (one.seconds + FASTEST_SLACK) or _is_too_slow(one, loudness),
    }
    return {flag for flag, deserved in found.items() if deserved}


def _is_over_silence(one: Judged, loudness: Loudness) -> bool:
    segment = one.segment
    middle, half = (segment["start"] + segment["end"]) / 2, max(one.seconds, HEARD_SPAN) / 2
    (heard,) = loudness.seconds_above(middle - half, middle + half, loudness.bounds.silent)
    if heard < SOUND_A_WORD * max(1.0, one.words):
        return True
    return bool(segment["no_speech_prob"] > NO_SPEECH and segment["avg_logprob"] < NO_SPEECH_LOG_PROBABILITY)


def _is_improbable(segment: Segment, task: TaskKind) -> bool:
    if segment["avg_logprob"] < (LOG_PROBABILITY if task is TaskKind.TRANSCRIBE else TRANSLATION_LOG_PROBABILITY):
        return True
    words = segment.get("words") or []
    improbable = sum(word["probability"] < IMPROBABLE_WORD for word in words)
    return len(words) >= IMPROBABLE_MIN and improbable >= IMPROBABLE_SHARE * len(words)


def _is_too_slow(one: Judged, loudness: Loudness) -> bool:
    if one.seconds < SLOWEST_SECONDS:
        return False
    (heard,) = loudness.seconds_above(one.segment["start"], one.segment["end"], loudness.bounds.sounding)
    return heard >= SLOWEST_SECONDS and one.words < SLOWEST * heard
