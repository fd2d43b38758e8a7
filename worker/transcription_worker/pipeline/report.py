"""The report about one input: for the termination message and, with more of it, for S3."""

import dataclasses
import importlib.metadata
import json
from collections.abc import Iterable
from dataclasses import dataclass, field

from transcription_api import reasons
from transcription_api.bounds import COUNT, FRACTION, KEY, SMALL_COUNT, WORD, bounded
from transcription_api.codec import to_json
from transcription_api.report import (
    BAD,
    MAX_WARNINGS,
    VERDICTS,
    WARNING_LIMIT,
    QualityCounts,
    Report,
    WrittenObject,
    cut,
)
from transcription_api.spec import QualityPolicy

from transcription_worker.engines.protocol import Transcript
from transcription_worker.pipeline.sink import TrackTranscript, Transcription

# Characters kept for a later preview: the most that spec.preview.characters may ask for.
PREVIEW_LIMIT = 500
UID_LIMIT = 64


@dataclass(frozen=True)
class TrackReport:
    """One of the channels that were transcribed apart; the termination message has no room for it."""

    channel: int = field(metadata=SMALL_COUNT)
    language: str = field(metadata=WORD)
    words: int = field(metadata=COUNT)
    segments: int = field(metadata=COUNT)
    quality: QualityCounts
    language_probability: float | None = field(default=None, metadata=FRACTION)


@dataclass(frozen=True)
class SourceObject:
    """The object whose results a report is about. `endpoint_url` is absent for Amazon S3."""

    bucket: str = field(metadata=WORD)
    key: str = field(metadata=KEY)
    endpoint_url: str | None = field(default=None, metadata=bounded(max_length=512))


@dataclass(frozen=True)
class Provenance:
    """What a result was made with, beside its spec: another model or worker may give another text for the same task.

    `model` is what model.find_model_version returned, `worker` the versions of the worker and of openai-whisper.
    """

    model: str
    worker: str


@dataclass(frozen=True)
class ReportBeingReplaced:
    """What stands in a report's place while a later run replaces its results: these are not whole meanwhile."""

    source: SourceObject
    incomplete: bool = True


@dataclass(frozen=True)
class CommittedReport:
    """The report in S3. `preview` is there whatever the spec asked for: the transcripts lie beside it.

    `source` and `provenance` are None in a report of a version that did not record them. `written_by` is the uid of the
    TranscriptionJob that wrote the results, and None where none did.
    """

    fingerprint: str
    report: Report
    preview: str = field(default="", metadata=bounded(max_length=PREVIEW_LIMIT))
    tracks: tuple[TrackReport, ...] = ()
    source: SourceObject | None = None
    provenance: Provenance | None = None
    written_by: str | None = field(default=None, metadata=bounded(max_length=UID_LIMIT))


def worker_version() -> str:
    """Return the versions of the worker and of openai-whisper, whose text the engines give.

    The latter is the one that the worker is pinned to: the phases without a model run where it is not installed.
    """
    worker = "transcription-worker"
    pinned = (requirement.partition("==") for requirement in importlib.metadata.requires(worker) or ())
    whisper = next(version for name, _, version in pinned if name == "openai-whisper")
    return f"{worker} {importlib.metadata.version(worker)}, openai-whisper {whisper}"


def make_report(
    transcription: Transcription,
    source_etag: str | None,
    policy: QualityPolicy,
    objects: tuple[WrittenObject, ...] = (),
    preview: str | None = None,
) -> Report:
    """Sum up all tracks; the language is the first one's. The reason is QualityRejected where the policy says so."""
    first = transcription.tracks[0].transcript
    transcripts = [track.transcript for track in transcription.tracks]
    apart = transcription.tracks[0].channel is not None
    report = Report(
        engine=transcription.engine.name,
        device=transcription.engine.device,
        model=transcription.engine.model,
        source_etag=source_etag,
        language=first.language,
        language_probability=first.language_probability,
        audio_seconds=round(transcription.audio_seconds, 3),
        wall_seconds=round(transcription.wall_seconds, 3),
        words=sum(count_words(one) for one in transcripts),
        segments=sum(len(one.segments) for one in transcripts),
        precision=first.precision,
        long_form=first.long_form,
        channels=len(transcripts) if apart else None,
        audio_track=transcription.audio_track,
        audio_tracks=transcription.audio_tracks,
        warnings=tuple(cut(words, WARNING_LIMIT) for words in transcription.all_warnings[:MAX_WARNINGS]) or None,
        quality=sum_quality(transcripts),
        objects=objects,
        preview=preview,
    )
    return reject_quality(report, policy)


def reject_quality(report: Report, policy: QualityPolicy) -> Report:
    """Give the report the reason QualityRejected where the policy refuses a text that is written."""
    quality = report.quality
    if policy is not QualityPolicy.FAIL or quality is None or quality.verdict != BAD:
        return report
    counts = ", ".join(f"{name} {count}" for name, count in to_json(quality).items() if name != "verdict" and count)
    message = f"spec.quality.policy: got fail with the verdict {quality.verdict}: {counts}"
    return dataclasses.replace(report, reason=reasons.QUALITY_REJECTED.name, message=message)


def sum_quality(transcripts: Iterable[Transcript]) -> QualityCounts:
    """Add up the counts of all tracks of an input; the verdict is the worst of theirs."""
    # It needs numpy, which the phases without a model do without.
    from transcription_worker.engines.quality.flags import count_flags

    counts = [count_flags(one.segments, one.counters.retried) for one in transcripts]
    return QualityCounts(
        verdict=max((one.verdict for one in counts), key=VERDICTS.index),
        repetition_loops=sum(one.repetition_loops for one in counts),
        text_over_silence=sum(one.text_over_silence for one in counts),
        low_confidence=sum(one.low_confidence for one in counts),
        implausible_rate=sum(one.implausible_rate for one in counts),
        retried_windows=sum(one.retried_windows for one in counts),
    )


def count_words(transcript: Transcript) -> int:
    """Count what spaces separate."""
    return len(transcript.text.split())


def cut_preview(text: str, characters: int) -> str | None:
    """Return the first characters of the text; None unless any are asked for."""
    wanted = min(characters, PREVIEW_LIMIT)
    return text.strip()[:wanted] if wanted > 0 else None


def make_committed(
    fingerprint: str,
    source: SourceObject,
    report: Report,
    transcription: Transcription,
    provenance: Provenance,
    written_by: str | None = None,
) -> CommittedReport:
    """Make the report for S3: with every channel's own numbers, and the preview apart from the report."""
    return CommittedReport(
        fingerprint=fingerprint,
        report=dataclasses.replace(report, preview=None),
        preview=transcription.tracks[0].transcript.text.strip()[:PREVIEW_LIMIT],
        source=source,
        provenance=provenance,
        written_by=written_by,
        tracks=tuple(
            _track_report(track, track.channel) for track in transcription.tracks if track.channel is not None
        ),
    )


def _track_report(track: TrackTranscript, channel: int) -> TrackReport:
    transcript = track.transcript
    return TrackReport(
        channel,
        transcript.language,
        count_words(transcript),
        len(transcript.segments),
        sum_quality([transcript]),
        transcript.language_probability,
    )


def encode_committed(committed: CommittedReport | ReportBeingReplaced) -> bytes:
    """Return the report as JSON, for the object in S3."""
    text = json.dumps(to_json(committed), ensure_ascii=False, indent=2, allow_nan=False)
    return text.encode(errors="replace") + b"\n"
