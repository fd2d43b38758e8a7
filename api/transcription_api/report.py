"""Define what the worker tells the operator: its progress while it runs, and a report at the end.

The report is in the termination message, which may shorten it, and in full in S3.
"""

import dataclasses
import json
from dataclasses import dataclass

from transcription_api import reasons
from transcription_api.codec import from_json, to_json
from transcription_api.decoding import MAX_SPLIT_CHANNELS
from transcription_api.spec import Format

# In bytes. Kubernetes keeps 4,096 of a termination message; the difference is left for the container runtime's own text.
TERMINATION_MESSAGE_LIMIT = 3584
MESSAGE_LIMIT = 1024  # characters of Report.message
# The most results of one file: every channel in every format. A test checks that a termination message has room for them.
MAX_OBJECTS = MAX_SPLIT_CHANNELS * len(Format)


@dataclass(frozen=True)
class DeviceUsed:
    """The device that ran the model, as torch saw it."""

    kind: str  # cuda or cpu
    name: str | None = None  # such as NVIDIA H100 80GB HBM3, or the CPU's model name
    driver: str | None = None  # such as 580.65.06
    cuda: str | None = None  # the CUDA version of the torch build, such as 13.0
    torch: str | None = None
    compute_capability: str | None = None  # such as 9.0
    # Why PreferGPU fell back to the CPU: one of the GPU reasons, and its message.
    fallback_reason: str | None = None
    fallback_message: str | None = None


@dataclass(frozen=True)
class ModelUsed:
    """The model that was used. `digest` is that of the checkpoint file, as sha256:<hex>."""

    name: str
    digest: str | None = None


@dataclass(frozen=True)
class WrittenObject:
    """One result, as a HEAD request saw it after the write. layout.result_key gives its key.

    `channel` counts from 0, and is None if the channels were not transcribed separately.

    `etag` is empty in a termination message that has no room for it.
    """

    format: Format
    size: int  # bytes
    etag: str
    channel: int | None = None


# The verdicts on a transcript, by how much of it is flagged, from the best to the worst.
VERDICTS = (GOOD, DOUBTFUL, BAD) = ("good", "doubtful", "bad")


@dataclass(frozen=True)
class QualityCounts:
    """The number of segments with each flag; one segment may have several. `verdict` is one of VERDICTS."""

    verdict: str
    repetition_loops: int = 0
    text_over_silence: int = 0
    low_confidence: int = 0
    implausible_rate: int = 0
    retried_windows: int = 0  # windows that the policy retry decoded again


@dataclass(frozen=True)
class Report:
    """The worker's report at its end. `reason` is None if the transcription is complete.

    Counts and seconds are those of the part of the audio that was selected.
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
    wall_seconds: float | None = None  # of transcribing only, so that audio_seconds / wall_seconds is RTFx
    words: int | None = None
    segments: int | None = None
    precision: str | None = None  # the one used, never auto
    long_form: str | None = None  # sequential or chunked, as used
    channels: int | None = None  # the number of channels, if audio.channel is split
    quality: QualityCounts | None = None
    objects: tuple[WrittenObject, ...] = ()
    # The complete result for the same source and spec was found in S3, and nothing was transcribed again.
    reused: bool = False
    preview: str | None = None

    @property
    def rtfx(self) -> float | None:
        """The seconds of audio that were transcribed per second of time; None if that is not known."""
        if not self.audio_seconds or not self.wall_seconds:
            return None
        return self.audio_seconds / self.wall_seconds


@dataclass(frozen=True)
class Progress:
    """The answer to GET /progress. `stage` is one of STAGES."""

    stage: str
    seconds_done: float = 0.0  # seconds of audio
    seconds_total: float | None = None  # seconds of audio; None until the file is decoded
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

    If there is no room, the preview is left out first, then most of the message, then the ETags of the results. The
    fields that say whether the result is complete always stay.

    Raises:
        ValueError: even these fields are too long, which cannot happen with at most MAX_OBJECTS results.
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

    Returns None if the message holds no report: it is the kubelet's or the runtime's own, or was cut off.
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
