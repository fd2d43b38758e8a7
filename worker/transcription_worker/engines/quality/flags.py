"""Flags on segments whose text is likely wrong; docs/quality.md says what each means and what to do.

They are derived from what the decoder knows (log probability, compression ratio, probability of no speech, words'
probabilities), from the text, and from the audio's loudness. Segments of all engines are dictionaries as openai-whisper's.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

from transcription_api.report import BAD, DOUBTFUL, GOOD, QualityCounts
from transcription_api.spec import TaskKind

from transcription_worker.engines.protocol import Audio, Options
from transcription_worker.engines.quality.repetition import count_words, find_loops, split_words
from transcription_worker.engines.speech.loudness import Loudness

Segment = dict[str, Any]

REPETITION_LOOP = "repetition-loop"
TEXT_OVER_SILENCE = "text-over-silence"
LOW_CONFIDENCE = "low-confidence"
IMPLAUSIBLE_RATE = "implausible-rate"
FLAGS = (REPETITION_LOOP, TEXT_OVER_SILENCE, LOW_CONFIDENCE, IMPLAUSIBLE_RATE)

# A compression ratio above this means repeated text: the default threshold of whisper.transcribe. It applies here whatever
# decoding.compressionRatioThreshold says, since a window that still exceeds it has failed at every temperature.
COMPRESSION_RATIO = 2.4

# Natural logarithm, mean over a window's tokens. whisper.transcribe's threshold is -1.0. But with tiny.en on English sentences in
# noise, of 37 segments below -0.7 one was right, and on average they had more errors than words; the 94 segments above -0.6
# had 24% errors on average. A translation can be worded in many ways, each less probable: there it is -1.0.
LOG_PROBABILITY = -0.7
TRANSLATION_LOG_PROBABILITY = -1.0

# Probability of no speech above which whisper.transcribe drops an improbable text, and the log probability from which the text
# is believed all the same: tiny.en gave 0.70 for clean speech whose text was right, at -0.40.
NO_SPEECH = 0.6
NO_SPEECH_LOG_PROBABILITY = -0.5

IMPROBABLE_WORD = 0.15  # probability; whisper.transcribe counts a word below it as an anomaly
IMPROBABLE_SHARE = 0.5  # of a segment's words
IMPROBABLE_MIN = 3  # words; shorter segments are not judged by their words' probabilities

MIN_SOUND_PER_WORD = 0.05  # seconds of sound for each word; nobody says twenty words a second
MIN_MEASURED = 1.0  # seconds of audio that are measured at least, since a segment's times may be off by half of that
# Words per second. Conversation has 2 to 4, the fastest debaters reach 8 (500 a minute).
MAX_RATE = 8.0
MAX_RATE_SLACK = 0.5  # seconds by which a segment's times may be off
# Words per second of sound, in segments with at least MIN_RATE_SECONDS of it: below this the sound is not speech, or the text
# lacks some. Silence does not count, since segments often begin or end in it.
MIN_RATE = 0.2
MIN_RATE_SECONDS = 10.0

# Shares of the segments with text, or of their seconds, whichever is more.
DOUBTFUL_SHARE = 0.02  # flagged; from here on a reader meets a flag about every other minute
BAD_SHARE = 0.25  # flagged


@dataclass(frozen=True)
class MeasuredSegment:
    """A segment, how many words it has, and whether they are part of a repetition loop."""

    segment: Segment
    words: float
    loops: bool

    @property
    def seconds(self) -> float:
        return float(self.segment["end"] - self.segment["start"])


def flag_segments(segments: Sequence[Segment], audio: Audio | Loudness, options: Options) -> None:
    """Set "flags", a sorted list of FLAGS, on segments that are likely wrong; others get no such key.

    segments: all of one input, in order, with times in seconds of `audio`, which is read in blocks.
    """
    loudness, texts = Loudness.of(audio), [split_words(segment["text"]) for segment in segments]
    loops = find_loops(texts)
    for index, (segment, text) in enumerate(zip(segments, texts, strict=True)):
        segment.pop("flags", None)
        if flags := _flags_of(MeasuredSegment(segment, count_words(text), index in loops), loudness, options.task):
            segment["flags"] = sorted(flags)


def window_flags(
    segments: Sequence[Segment],
    audio: Audio | Loudness,
    previous: Sequence[str] = (),
    task: TaskKind = TaskKind.TRANSCRIBE,
) -> frozenset[str]:
    """All flags of the segments of one decoded window.

    previous: texts of the segments before it, in which a repetition loop may have begun. audio: a Loudness that is kept
    between windows makes this cheap; an Audio is measured each time.
    """
    loudness, texts = Loudness.of(audio), [split_words(segment["text"]) for segment in segments]
    before = [split_words(text) for text in previous]
    loops = {index - len(before) for index in find_loops([*before, *texts])}
    measured = (
        MeasuredSegment(*one, index in loops)
        for index, one in enumerate(zip(segments, map(count_words, texts), strict=True))
    )
    return frozenset().union(*(_flags_of(one, loudness, task) for one in measured))


def count_flags(segments: Iterable[Segment], retried_windows: int = 0) -> QualityCounts:
    """Count the flags that flag_segments set on one input's segments."""
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


def _flags_of(one: MeasuredSegment, loudness: Loudness, task: TaskKind) -> set[str]:
    if not _has_text(one.segment):
        return set()
    found = {
        REPETITION_LOOP: one.loops or one.segment["compression_ratio"] > COMPRESSION_RATIO,
        TEXT_OVER_SILENCE: _is_over_silence(one, loudness),
        LOW_CONFIDENCE: _is_improbable(one.segment, task),
        IMPLAUSIBLE_RATE: one.words > MAX_RATE * (one.seconds + MAX_RATE_SLACK) or _is_too_slow(one, loudness),
    }
    return {flag for flag, deserved in found.items() if deserved}


def _is_over_silence(one: MeasuredSegment, loudness: Loudness) -> bool:
    segment = one.segment
    middle, half = (segment["start"] + segment["end"]) / 2, max(one.seconds, MIN_MEASURED) / 2
    (audible,) = loudness.seconds_above(middle - half, middle + half, loudness.bounds.silent)
    if audible < MIN_SOUND_PER_WORD * max(1.0, one.words):
        return True
    return bool(segment["no_speech_prob"] > NO_SPEECH and segment["avg_logprob"] < NO_SPEECH_LOG_PROBABILITY)


def _is_improbable(segment: Segment, task: TaskKind) -> bool:
    if segment["avg_logprob"] < (LOG_PROBABILITY if task is TaskKind.TRANSCRIBE else TRANSLATION_LOG_PROBABILITY):
        return True
    words = segment.get("words") or []
    improbable = sum(word["probability"] < IMPROBABLE_WORD for word in words)
    return len(words) >= IMPROBABLE_MIN and improbable >= IMPROBABLE_SHARE * len(words)


def _is_too_slow(one: MeasuredSegment, loudness: Loudness) -> bool:
    if one.seconds < MIN_RATE_SECONDS:
        return False
    (audible,) = loudness.seconds_above(one.segment["start"], one.segment["end"], loudness.bounds.sounding)
    return audible >= MIN_RATE_SECONDS and one.words < MIN_RATE * audible
