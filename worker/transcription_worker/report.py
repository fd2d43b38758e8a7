"""The report: what was done, for the termination message and, whole, for S3."""

import dataclasses
import json
from dataclasses import dataclass
from typing import TYPE_CHECKING

from transcription_api import layout
from transcription_api.codec import to_json
from transcription_api.report import DeviceUsed, ModelUsed, Report, WrittenObject
from transcription_api.spec import Spec

from transcription_worker.engines.protocol import Transcript

if TYPE_CHECKING:
    from transcription_worker.transcribe import Transcribed

# Characters kept for a later preview: the most that spec.preview.characters may ask for.
PREVIEW_LIMIT = 500


@dataclass(frozen=True)
class Committed:
    """The report in S3. `preview` is there whatever the spec asked for: the transcripts lie beside it."""

    fingerprint: str
    report: Report
    preview: str = ""


def complete_report(
    spec: Spec,
    done: "Transcribed",
    engine: str,
    device: DeviceUsed,
    model: ModelUsed,
    source_etag: str,
    objects: tuple[WrittenObject, ...],
) -> Report:
    """A report without a reason: every object was seen in the bucket."""
    transcript = done.transcript
    return Report(
        engine=engine,
        device=device,
        model=model,
        source_etag=source_etag,
        language=transcript.language,
        language_probability=transcript.language_probability,
        audio_seconds=round(transcript.audio_seconds, 3),
        wall_seconds=round(done.wall_seconds, 3),
        words=len(transcript.text.split()),
        segments=len(transcript.segments),
        objects=objects,
        preview=cut_preview(spec, transcript.text),
    )


def reused_report(spec: Spec, found: Committed) -> Report:
    """The earlier run's report, said to be reused; the preview as this spec asks for it."""
    return dataclasses.replace(found.report, reused=True, preview=cut_preview(spec, found.preview))


def cut_preview(spec: Spec, text: str) -> str | None:
    """None unless asked for."""
    wanted = min(spec.preview.characters, PREVIEW_LIMIT)
    return text.strip()[:wanted] if wanted > 0 else None


def whole_preview(transcript: Transcript) -> str:
    return transcript.text.strip()[:PREVIEW_LIMIT]


def document(spec: Spec, report: Report, preview: str) -> bytes:
    """JSON of a Committed, for the object in S3."""
    committed = Committed(layout.fingerprint(spec), dataclasses.replace(report, preview=None), preview)
    return json.dumps(to_json(committed), ensure_ascii=False, indent=2).encode() + b"\n"
