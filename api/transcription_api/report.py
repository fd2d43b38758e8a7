"""Define what the worker tells the operator: its progress while it runs, and a report at the end.

The report is in the termination message, which may shorten it, and in full in S3.
"""

import dataclasses
import json
from dataclasses import dataclass, field

from transcription_api import reasons
from transcription_api.bounds import COUNT, FRACTION, KEY, NAME, SECONDS, SMALL_COUNT, WORD, bounded, read_leniently
from transcription_api.codec import to_json
from transcription_api.decoding import MAX_SPLIT_CHANNELS
from transcription_api.spec import Format
from transcription_api.untrusted_json import DEFAULT_LIMIT, close_cut_json, parse_untrusted_json

# In bytes. Kubernetes keeps 4,096 of a termination message; the difference is left for the container runtime's own text.
TERMINATION_MESSAGE_LIMIT = 3584
# Of a pod with more than three containers it keeps less: 12,288 divided by their number, those that a service mesh adds and
# those that have ended included (kubelet, normalizeStatus). What the outcome rests on comes first, and long texts last.
FIRST, LAST = ("reason", "channels", "objects"), ("plan", "files", "message", "warnings", "device", "preview")
MESSAGE_LIMIT = 1024  # characters of Report.message
MAX_WARNINGS, WARNING_LIMIT = 4, 256  # of Report.warnings, and characters of each
# The most results of one file: every channel in every format. A test checks that a termination message has room for them.
MAX_OBJECTS = MAX_SPLIT_CHANNELS * len(Format)
# Far more than ffmpeg reads of a file. The operator counts up to this number when it looks for what a report lacks.
MAX_CHANNELS = 1024
# What the name of a reason looks like, one of a newer version too.
REASON = bounded(max_length=63, pattern="^[A-Z][A-Za-z0-9]*$")


@dataclass(frozen=True)
class DeviceUsed:
    """The device that ran the model, as torch saw it."""

    kind: str = field(metadata=WORD)  # cuda or cpu
    name: str | None = field(default=None, metadata=NAME)  # such as NVIDIA H100 80GB HBM3, or the CPU's model name
    driver: str | None = field(default=None, metadata=WORD)  # such as 580.65.06
    cuda: str | None = field(default=None, metadata=WORD)  # the CUDA version of the torch build, such as 13.0
    torch: str | None = field(default=None, metadata=WORD)
    compute_capability: str | None = field(default=None, metadata=WORD)  # such as 9.0
    # Why PreferGPU fell back to the CPU: one of the GPU reasons, and its message.
    fallback_reason: str | None = field(default=None, metadata=WORD)
    fallback_message: str | None = field(default=None, metadata=bounded(max_length=4096))
    # How many of them the pod used, each with a model of its own; None for one.
    count: int | None = field(default=None, metadata=SMALL_COUNT)


@dataclass(frozen=True)
class ModelUsed:
    """The model that was used. `digest` is that of the checkpoint file, as sha256:<hex>."""

    name: str = field(metadata=KEY)
    digest: str | None = field(default=None, metadata=bounded(max_length=128))


@dataclass(frozen=True)
class WrittenObject:
    """One result, as a HEAD request saw it after the write. layout.result_key gives its key.

    `channel` counts from 0, and is None if the channels were not transcribed separately.

    `etag` is empty in a termination message that has no room for it.
    """

    format: Format
    size: int = field(metadata=COUNT)  # bytes
    etag: str = field(metadata=NAME)
    channel: int | None = field(default=None, metadata=SMALL_COUNT)


# The verdicts on a transcript, by how much of it is flagged, from the best to the worst.
VERDICTS = (GOOD, DOUBTFUL, BAD) = ("good", "doubtful", "bad")


@dataclass(frozen=True)
class QualityCounts:
    """The number of segments with each flag; one segment may have several. `verdict` is one of VERDICTS."""

    verdict: str = field(metadata=WORD)
    repetition_loops: int = field(default=0, metadata=COUNT)
    text_over_silence: int = field(default=0, metadata=COUNT)
    low_confidence: int = field(default=0, metadata=COUNT)
    implausible_rate: int = field(default=0, metadata=COUNT)
    retried_windows: int = field(default=0, metadata=COUNT)  # windows that the policy retry decoded again


# Failed files and reasons that a report and a status name.
MAX_NAMED_FAILURES = 10
MAX_NAMED_REASONS = 16


@dataclass(frozen=True)
class ReasonCount:
    """How many files have one reason."""

    reason: str = field(metadata=REASON)
    count: int = field(metadata=COUNT)


@dataclass(frozen=True)
class FileFailure:
    """A file that failed. The key is cut where it is long: the report in S3 has it whole."""

    key: str = field(metadata=NAME)
    reason: str = field(metadata=REASON)


@dataclass(frozen=True)
class PlanSummary:
    """What the plan found: files to transcribe and what stands beside them.

    `files` counts all files of the account: `to_transcribe`, `reused` and `refused` ones. `skipped` objects are no files.
    """

    files: int = field(metadata=COUNT)
    to_transcribe: int = field(metadata=COUNT)
    shards: int = field(metadata=SMALL_COUNT)
    reused: int = field(default=0, metadata=COUNT)  # their results are there already
    refused: int = field(default=0, metadata=COUNT)  # failed at planning, such as two sources with one result
    skipped: int = field(default=0, metadata=COUNT)
    skipped_by: tuple[ReasonCount, ...] = field(default=(), metadata=bounded(max_items=MAX_NAMED_REASONS))
    bytes: int = field(default=0, metadata=COUNT)  # of the files to transcribe, as are the seconds of audio
    audio_seconds: float = field(default=0.0, metadata=SECONDS)
    estimated_seconds: float | None = field(default=None, metadata=SECONDS)  # of GPUs, all pods together
    estimated_cost: float | None = field(default=None, metadata=bounded(minimum=0))


@dataclass(frozen=True)
class FileCounts:
    """The account of many files: `total` is `done`, `reused` and `failed`, and while they are transcribed what is left."""

    total: int = field(metadata=COUNT)
    done: int = field(default=0, metadata=COUNT)  # transcribed by this resource
    reused: int = field(default=0, metadata=COUNT)
    failed: int = field(default=0, metadata=COUNT)
    skipped: int = field(default=0, metadata=COUNT)  # objects that are no files of the account
    by_reason: tuple[ReasonCount, ...] = field(default=(), metadata=bounded(max_items=MAX_NAMED_REASONS))
    failures: tuple[FileFailure, ...] = field(default=(), metadata=bounded(max_items=MAX_NAMED_FAILURES))


@dataclass(frozen=True)
class Report:
    """The worker's report at its end. `reason` is None if the transcription is complete.

    Counts and seconds are those of the part of the audio that was selected.
    """

    reason: str | None = field(default=None, metadata=REASON)
    message: str | None = field(default=None, metadata=bounded(max_length=MESSAGE_LIMIT))
    engine: str | None = field(default=None, metadata=NAME)
    device: DeviceUsed | None = None
    model: ModelUsed | None = None
    source_etag: str | None = field(default=None, metadata=NAME)
    language: str | None = field(default=None, metadata=WORD)
    language_probability: float | None = field(default=None, metadata=FRACTION)
    audio_seconds: float | None = field(default=None, metadata=SECONDS)
    # Of transcribing only, so that audio_seconds / wall_seconds is RTFx.
    wall_seconds: float | None = field(default=None, metadata=SECONDS)
    words: int | None = field(default=None, metadata=COUNT)
    segments: int | None = field(default=None, metadata=COUNT)
    precision: str | None = field(default=None, metadata=WORD)  # the one used, never auto
    long_form: str | None = field(default=None, metadata=WORD)  # sequential or chunked, as used
    # The number of channels, if audio.channel is split.
    channels: int | None = field(default=None, metadata=bounded(minimum=1, maximum=MAX_CHANNELS))
    # Which audio track was transcribed, counted from 0, and how many the file has, where its format can have several.
    audio_track: int | None = field(default=None, metadata=SMALL_COUNT)
    audio_tracks: int | None = field(default=None, metadata=SMALL_COUNT)
    # What is wrong with the file though its audio was transcribed, and what the run had to give up, in sentences.
    # None for none: an operator of an earlier version reads no report with a field that it does not know.
    warnings: tuple[str, ...] | None = field(
        default=None, metadata=bounded(max_length=WARNING_LIMIT, max_items=MAX_WARNINGS)
    )
    quality: QualityCounts | None = None
    objects: tuple[WrittenObject, ...] = ()
    # The complete result for the same source and spec was found in S3, and nothing was transcribed again.
    reused: bool = False
    preview: str | None = field(default=None, metadata=bounded(max_length=500))
    # Of a Job over many files: the share of its time in which the GPU waited for audio though files were left.
    audio_wait_share: float | None = field(default=None, metadata=FRACTION)
    # Of a Job over many files: the plan's, and the account of a shard or, by the phase collect, of all.
    plan: PlanSummary | None = None
    files: FileCounts | None = None

    @property
    def rtfx(self) -> float | None:
        """The seconds of audio that were transcribed per second of time; None if that is not known."""
        if not self.audio_seconds or not self.wall_seconds:
            return None
        return self.audio_seconds / self.wall_seconds


@dataclass(frozen=True)
class Progress:
    """The answer to GET /progress. `stage` is one of STAGES."""

    stage: str = field(metadata=WORD)
    seconds_done: float = field(default=0.0, metadata=SECONDS)  # seconds of audio
    # Seconds of audio; None until the file is decoded.
    seconds_total: float | None = field(default=None, metadata=SECONDS)
    eta_seconds: float | None = field(default=None, metadata=SECONDS)
    device: DeviceUsed | None = None
    # Report fields known before the end, for the status of a running job.
    language: str | None = field(default=None, metadata=WORD)
    # Of many files: how many are done, their results there already, or failed.
    files_done: int | None = field(default=None, metadata=COUNT)
    files_failed: int | None = field(default=None, metadata=COUNT)


STAGES = ("device", "fetch", "decode", "model", "transcribe", "write", "done")


def failure(reason: reasons.Reason, message: str, **known: object) -> Report:
    """Return a report of a failure, with all that was known by then."""
    return Report(reason=reason.name, message=message[:MESSAGE_LIMIT], **known)  # type: ignore[arg-type]


def encode_report(report: Report, limit: int = TERMINATION_MESSAGE_LIMIT) -> bytes:
    """Return the report as JSON of at most `limit` bytes.

    If there is no room, the preview is left out first, then most of the message and warnings, then the ETags of the results. The
    fields that say whether the result is complete always stay.

    Raises:
        ValueError: even these fields are too long, which cannot happen with at most MAX_OBJECTS results.
    """
    for shorter in (report, dataclasses.replace(report, preview=None), _short(report, 200), _fewer_failures(report)):
        if len(encoded := _encode(to_json(shorter))) <= limit:
            return encoded
    rows = [[item.format.value, item.size, item.channel] for item in report.objects]
    encoded = _encode(to_json(_short(report, 60)) | {"objects": rows})
    if len(encoded) > limit:
        raise ValueError(f"report of {len(encoded)} bytes, expected at most {limit}")
    return encoded


def _encode(value: dict[str, object]) -> bytes:
    middle = (name for name in value if name not in (*FIRST, *LAST))
    value = {name: value[name] for name in (*FIRST, *middle, *LAST) if name in value}
    # A name from the file system may hold a byte that is no character, which UTF-8 cannot take.
    return json.dumps(value, ensure_ascii=False, separators=(",", ":"), allow_nan=False).encode(errors="replace")


def _short(report: Report, characters: int) -> Report:
    device = report.device
    if device is not None and device.fallback_message is not None:
        device = dataclasses.replace(device, fallback_message=cut(device.fallback_message, characters))
    warnings = report.warnings and tuple(cut(words, characters) for words in report.warnings)
    message = None if report.message is None else cut(report.message, characters)
    return dataclasses.replace(report, preview=None, message=message, device=device, warnings=warnings)


def _fewer_failures(report: Report) -> Report:
    """Leave out the names of failed files: the account in S3 has them all."""
    files = report.files and dataclasses.replace(report.files, failures=())
    return dataclasses.replace(_short(report, 200), files=files)


def cut(text: str, characters: int) -> str:
    """Return the text, or its beginning and three dots if it is longer than that."""
    return text if len(text) <= characters else text[: characters - 3] + "..."


def parse_report(text: str | bytes) -> Report | None:
    """Read a report from a termination message, which anybody may have written.

    A field that does not fit counts as absent, and an object of the result that does not fit as not written. Of one that the
    kubelet has cut off, the fields count that are whole. Returns None if the message holds no report (it is the kubelet's or
    the runtime's own), or one with a reason that cannot be read: without it the report would be one of success.
    """
    try:
        value = _parse_message(text if isinstance(text, str) else text.decode(errors="replace"))
    except ValueError:
        return None
    if not isinstance(value, dict):
        return None
    if isinstance(rows := value.get("objects"), list):
        value["objects"] = [_from_row(row) if isinstance(row, list) else row for row in rows]
    return read_report(value)


def _parse_message(text: str) -> object:
    try:
        return parse_untrusted_json(text)
    except ValueError:
        if len(text) > DEFAULT_LIMIT:
            raise
        return parse_untrusted_json(close_cut_json(text))


def read_report(value: object) -> Report | None:
    """Make a report of parsed JSON; see `parse_report`."""
    report = read_leniently(Report, value)
    if report is None or (report.reason is None and isinstance(value, dict) and value.get("reason") is not None):
        return None
    return report


def _from_row(row: list[object]) -> dict[str, object]:
    """Return the result that a row stands for, in a report that had no room for more."""
    return dict(zip(("format", "size", "channel"), row, strict=False)) | {"etag": ""}


def parse_progress(text: bytes) -> Progress:
    """Read the answer to GET /progress, which any program in a pod may have written.

    Raises:
        ValueError: The answer is no progress.
    """
    progress = read_leniently(Progress, parse_untrusted_json(text))
    if progress is None:
        raise ValueError("got no progress")
    return progress
