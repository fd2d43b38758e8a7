"""The status of a TranscriptionJob. Its size is bounded, whatever the length of the audio."""

import enum
from dataclasses import dataclass

from transcription_api.report import DeviceUsed, ModelUsed, QualityCounts

MAX_RESULTS = 128  # more than a worker can have written: see report.MAX_OBJECTS


class Phase(enum.Enum):
    """How far a resource is, in one word for people. Programs wait for conditions instead."""

    PENDING = "Pending"  # accepted; no pod has started
    RUNNING = "Running"
    SUSPENDED = "Suspended"
    COMPLETE = "Complete"
    FAILED = "Failed"


class ConditionType(enum.Enum):
    """The conditions of a resource. Each has an observedGeneration and a reason of `reasons`."""

    ACCEPTED = "Accepted"
    RUNNING = "Running"
    COMPLETE = "Complete"
    FAILED = "Failed"
    SUSPENDED = "Suspended"
    DEGRADED = "Degraded"  # PreferGPU went on with the CPU


@dataclass(frozen=True)
class Condition:
    """A condition as Kubernetes' metav1.Condition has it. `status` is True, False or Unknown."""

    type: str
    status: str
    reason: str
    message: str
    last_transition_time: str  # RFC 3339, UTC
    observed_generation: int


@dataclass(frozen=True)
class JobRef:
    """The batch/v1 Job of the current attempt, in the same namespace."""

    name: str
    uid: str | None = None
    ordinal: int = 1


@dataclass(frozen=True)
class ResultObject:
    """One object in the destination's bucket. `etag` is empty where the report in S3 alone has it."""

    format: str
    key: str
    size: int  # bytes
    etag: str
    channel: int | None = None  # from 0, with audio.channel split


@dataclass(frozen=True)
class ProgressStatus:
    """The worker's progress, which is copied at most every 10 s."""

    stage: str
    percent: int | None = None
    seconds_done: float | None = None
    seconds_total: float | None = None
    eta_seconds: float | None = None
    observed_time: str | None = None


@dataclass(frozen=True)
class Failure:
    """Why a resource failed, and what to do. `exit_code` is the worker's, where a worker ran."""

    reason: str
    message: str
    advice: str
    exit_code: int | None = None


@dataclass(frozen=True)
class Status:
    """What happened to a resource. All fields but the phase may be absent. Times are in RFC 3339 and UTC."""

    observed_generation: int | None = None
    phase: Phase | None = None
    conditions: tuple[Condition, ...] = ()
    job_ref: JobRef | None = None
    attempt: int | None = None  # worker pods that failed before, plus one
    queued_time: str | None = None  # the first Job was created
    start_time: str | None = None  # the first worker started
    completion_time: str | None = None
    queue_seconds: float | None = None  # queued_time to start_time
    progress: ProgressStatus | None = None
    engine: str | None = None  # and its version
    device: DeviceUsed | None = None
    model: ModelUsed | None = None
    precision: str | None = None
    long_form: str | None = None
    channels: int | None = None  # transcribed apart, with audio.channel split
    language: str | None = None
    language_probability: float | None = None
    audio_seconds: float | None = None
    audio_duration: str | None = None  # 1h02m03s, for people
    wall_seconds: float | None = None
    rtfx: float | None = None  # rounded to one decimal
    words: int | None = None
    segments: int | None = None
    quality: QualityCounts | None = None
    results: tuple[ResultObject, ...] = ()
    report_key: str | None = None
    reused: bool | None = None
    preview: str | None = None
    failure: Failure | None = None
