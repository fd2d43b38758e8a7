"""What the worker tells the operator: its progress while it runs, and a report at the end.

The report is in the termination message, and whole in S3.
"""

import dataclasses
import json
from dataclasses import dataclass

from transcription_api import reasons
from transcription_api.codec import from_json, to_json
from transcription_api.decoding import MAX_SPLIT_CHANNELS
from transcription_api.spec import Format

# Bytes. Kubernetes keeps 4,096 of a termination message; the rest is headroom for the runtime's own words.
TERMINATION_MESSAGE_LIMIT = 3584
MESSAGE_LIMIT = 1024  # characters of Report.message
# The results of one file: every channel in every format. A test holds that a termination message has room for them.
MAX_OBJECTS = MAX_SPLIT_CHANNELS * len(Format)


@dataclass(frozen=True)
class DeviceUsed:
    """The device that ran the model, as torch saw it."""

    kind: str  # cuda or cpu
    name: str | None = None  # NVIDIA H100 80GB HBM3, or the CPU's model name
    driver: str | None = None  # 580.65.06
    cuda: str | None = None  # CUDA of the torch build, 13.0
    torch: str | None = None
    compute_capability: str | None = None  # 9.0
    # PreferGPU on the CPU: why, one of the GPU reasons, and its message.
    fallback_reason: str | None = None
    fallback_message: str | None = None


@dataclass(frozen=True)
class ModelUsed:
    """The model that was used. `digest` is that of the checkpoint file, as sha256:<hex>."""

    name: str
    digest: str | None = None


@dataclass(frozen=True)
class WrittenObject:
    """One result, as a HEAD request saw it after the write. Its key is that of layout.result_key.

    `channel` counts from 0, and is None where the channels were not transcribed apart.

    `etag` is empty in a termination message that has no room for it.
    """

    format: Format
    size: int  # bytes
    etag: str
    channel: int | None = None


# The verdict on a transcript, by how much of it is flagged; from the best to the worst.
VERDICTS = (GOOD, DOUBTFUL, BAD) = ("good", "doubtful", "bad")


@dataclass(frozen=True)
class QualityCounts:
    """How many segments have each flag; one segment may have several. `verdict` is one of VERDICTS."""

    verdict: str
    repetition_loops: int = 0
    text_over_silence: int = 0
    low_confidence: int = 0
    implausible_rate: int = 0
    retried_windows: int = 0  # decoded again by policy retry


@dataclass(frozen=True)
class Report:
    """What a worker says when it ends. `reason` is None where the transcription is complete.

    Counts and seconds are those of the part of the audio that was asked for.
    """

    reason: str | None = None
    message: str | None = None
    engine: str | None = None
    device: DeviceUsed | None = None
    model: ModelUsed | None = None
    source_etag: str | None = None
    language: str | None = None
    language_probability: float | None = None
    audio_seconds: float | None = None
    wall_seconds: float | None = None  # transcribing alone: audio_seconds / wall_seconds is RTFx
    words: int | None = None
    segments: int | None = None
    precision: str | None = None  # the one used, never auto
    long_form: str | None = None  # sequential or chunked, as used
    channels: int | None = None  # transcribed apart, with audio.channel split
    quality: QualityCounts | None = None
    objects: tuple[WrittenObject, ...] = ()
    # The result was found in S3, whole, for the same source and spec; nothing was transcribed again.
    reused: bool = False
    preview: str | None = None

    @property
    def rtfx(self) -> float | None:
        """Seconds of audio that were transcribed in one second; None where that is not known."""
        if not self.audio_seconds or not self.wall_seconds:
            return None
        return self.audio_seconds / self.wall_seconds


@dataclass(frozen=True)
class Progress:
    """The answer to GET /progress. `stage` is one of STAGES."""

    stage: str
    seconds_done: float = 0.0  # of audio
    seconds_total: float | None = None  # of audio; None until the file is decoded
    eta_seconds: float | None = None
    device: DeviceUsed | None = None
    # Report fields known before the end, for the status of a running job.
    language: str | None = None


STAGES = ("device", "fetch", "decode", "model", "transcribe", "write", "done")


def failure(reason: reasons.Reason, message: str, **known: object) -> Report:
    """Return a report of a failure, with all that was known by then."""
    return Report(reason=reason.name, message=message[:MESSAGE_LIMIT], **known)  # type: ignore[arg-type]


def encode_report(report: Report, limit: int = TERMINATION_MESSAGE_LIMIT) -> bytes:
    """Return the report as JSON of at most `limit` bytes.

    Where there is no room the preview is left out first, then most of the message, then the ETags of the results. What
    says whether the result is whole always stays.

    Raises:
        ValueError: That alone is too long, which MAX_OBJECTS results are not.
    """
    for shorter in (report, dataclasses.replace(report, preview=None), _short(report, 200)):
        if len(encoded := _encode(to_json(shorter))) <= limit:
            return encoded
    rows = [[item.format.value, item.size, item.channel] for item in report.objects]
    encoded = _encode(to_json(_short(report, 60)) | {"objects": rows})
    if len(encoded) > limit:
        raise ValueError(f"report of {len(encoded)} bytes, expected at most {limit}")
    return encoded


def _encode(value: object) -> bytes:
    return json.dumps(value, ensure_ascii=False, separators=(",", ":")).encode()


def _short(report: Report, characters: int) -> Report:
    told = _cut(report.device.fallback_message, characters) if report.device is not None else None
    device = report.device and dataclasses.replace(report.device, fallback_message=told)
    return dataclasses.replace(report, preview=None, message=_cut(report.message, characters), device=device)


def _cut(text: str | None, characters: int) -> str | None:
    return text if text is None or len(text) <= characters else text[: characters - 3] + "..."


def parse_report(text: str | bytes) -> Report | None:
    """Read a report from a termination message.

    Returns None where the message holds none: it is the kubelet's or the runtime's own, or was cut off.
    """
    try:
        value = json.loads(text)
    except ValueError:
        return None
    if not isinstance(value, dict):
        return None
    if isinstance(rows := value.get("objects"), list):
        value["objects"] = [_from_row(row) if isinstance(row, list) else row for row in rows]
    return from_json(Report, value, "report")


def _from_row(row: list[object]) -> dict[str, object]:
    """Return the result that a row stands for, in a report that had no room for more."""
    return dict(zip(("format", "size", "channel"), row, strict=False)) | {"etag": ""}
