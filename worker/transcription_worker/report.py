"""The report: what was done, for the termination message and, whole, for S3."""

import dataclasses
import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from transcription_api import layout, reasons
from transcription_api.codec import to_json
from transcription_api.report import QualityCounts, Report, WrittenObject
from transcription_api.spec import Channel, QualityPolicy, Spec

from transcription_worker.engines.protocol import Transcript
from transcription_worker.engines.quality.flags import count_flags
from transcription_worker.transcribe import Transcribed, Work

# From the best to the worst.
VERDICTS = (GOOD, DOUBTFUL, BAD) = ("good", "doubtful", "bad")
# Characters kept for a later preview: the most that spec.preview.characters may ask for.
PREVIEW_LIMIT = 500


@dataclass(frozen=True)
class TrackReport:
    """One channel of a split file, which the termination message has no room for."""

    channel: int
    language: str
    words: int
    segments: int
    quality: QualityCounts
    language_probability: float | None = None


@dataclass(frozen=True)
class Committed:
    """The report in S3. `preview` is there whatever the spec asked for: the transcripts lie beside it."""

    fingerprint: str
    report: Report
    preview: str = ""
    tracks: tuple[TrackReport, ...] = ()


def complete_report(spec: Spec, work: Work, known: Mapping[str, Any], objects: tuple[WrittenObject, ...]) -> Report:
    """Every object was seen in the bucket. Words and segments of all tracks; the language of the first.

    `known`: the report's fields that the run knew before. The reason is QualityRejected where the policy says so.
    """
    first = work.tracks[0].transcript
    report = Report(
        **known,
        language=first.language,
        language_probability=first.language_probability,
        wall_seconds=round(work.wall_seconds, 3),
        words=sum(_words(track) for track in work.tracks),
        segments=sum(len(track.transcript.segments) for track in work.tracks),
        precision=first.precision,
        long_form=first.long_form,
        channels=len(work.tracks) if spec.audio.channel is Channel.SPLIT else None,
        quality=sum_quality([track.transcript for track in work.tracks]),
        objects=objects,
        preview=cut_preview(spec, first.text),
    )
    return judged(spec, report)


def judged(spec: Spec, report: Report) -> Report:
    """With the reason QualityRejected where the policy says so."""
    words = rejection(spec.quality.policy, report.quality)
    if words is None:
        return report
    return dataclasses.replace(report, reason=reasons.QUALITY_REJECTED.name, message=words)


def sum_quality(transcripts: Iterable[Transcript]) -> QualityCounts:
    """Of all tracks of a file; the verdict is the worst of theirs."""
    counts = [count_flags(one.segments, one.counters.retried) for one in transcripts]
    return QualityCounts(
        verdict=max((one.verdict for one in counts), key=VERDICTS.index),
        repetition_loops=sum(one.repetition_loops for one in counts),
        text_over_silence=sum(one.text_over_silence for one in counts),
        low_confidence=sum(one.low_confidence for one in counts),
        implausible_rate=sum(one.implausible_rate for one in counts),
        retried_windows=sum(one.retried_windows for one in counts),
    )


def rejection(policy: QualityPolicy, quality: QualityCounts | None) -> str | None:
    """Why the policy refuses a text that is written; None where it does not."""
    if policy is not QualityPolicy.FAIL or quality is None or quality.verdict != BAD:
        return None
    counts = ", ".join(f"{name} {count}" for name, count in to_json(quality).items() if name != "verdict" and count)
    return f"spec.quality.policy: got fail with the verdict {quality.verdict}: {counts}"


def _words(track: Transcribed) -> int:
    return len(track.transcript.text.split())


def reused_report(spec: Spec, found: Committed) -> Report:
    """The earlier run's report, said to be reused; the preview as this spec asks for it."""
    return dataclasses.replace(found.report, reused=True, preview=cut_preview(spec, found.preview))


def cut_preview(spec: Spec, text: str) -> str | None:
    """None unless asked for."""
    wanted = min(spec.preview.characters, PREVIEW_LIMIT)
    return text.strip()[:wanted] if wanted > 0 else None


def make_committed(spec: Spec, report: Report, work: Work) -> Committed:
    """For S3: with every channel's own numbers, and the preview apart from the report."""
    return Committed(
        fingerprint=layout.fingerprint(spec),
        report=dataclasses.replace(report, preview=None),
        preview=work.tracks[0].transcript.text.strip()[:PREVIEW_LIMIT],
        tracks=tuple(_track_report(track, track.channel) for track in work.tracks if track.channel is not None),
    )


def _track_report(track: Transcribed, channel: int) -> TrackReport:
    transcript = track.transcript
    return TrackReport(
        channel,
        transcript.language,
        _words(track),
        len(transcript.segments),
        sum_quality([transcript]),
        transcript.language_probability,
    )


def document(committed: Committed) -> bytes:
    """JSON, for the object in S3."""
    return json.dumps(to_json(committed), ensure_ascii=False, indent=2).encode() + b"\n"
