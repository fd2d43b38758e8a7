"""The status of a TranscriptionJob. Its size is bounded, whatever the length of the audio."""

import enum
from dataclasses import dataclass, field

from transcription_api.bounds import (
    COUNT,
    FRACTION,
    INT32,
    KEY,
    NAME,
    SECONDS,
    SMALL_COUNT,
    TIME,
    WORD,
    bounded,
)
from transcription_api.report import (
    MAX_WARNINGS,
    WARNING_LIMIT,
    DeviceUsed,
    FileCounts,
    ModelUsed,
    PlanSummary,
    QualityCounts,
)

MAX_RESULTS = 128  # more than a worker can have written: see report.MAX_OBJECTS
MAX_CONDITIONS = 16
# Stands for a time that is not known, where there must be one.
UNKNOWN_TIME = "1970-01-01T00:00:00Z"
SENTENCE = bounded(max_length=32768)
# As metav1.Condition has it.
CONDITION_REASON = bounded(max_length=1024, pattern="^[A-Za-z]([A-Za-z0-9_,:]*[A-Za-z0-9_])?$", otherwise="Unknown")


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
    PLANNED = "Planned"  # of many files: which there are is known and frozen
    RUNNING = "Running"
    COLLECTED = "Collected"  # of many files: each result was looked for, and the account is written
    COMPLETE = "Complete"
    FAILED = "Failed"
    SUSPENDED = "Suspended"
    RESULTS_DELETED = "ResultsDeleted"  # with deletionPolicy DeleteResults, once the time to live is over
    DEGRADED = "Degraded"  # PreferGPU went on with the CPU, or the status lacks what the apiserver refused


@dataclass(frozen=True)
class Condition:
    """A condition as Kubernetes' metav1.Condition has it. `status` is True, False or Unknown."""

    type: str = field(metadata=bounded(max_length=316, pattern="^[A-Z][A-Za-z]*$"))
    status: str = field(metadata=bounded(choices=("True", "False", "Unknown"), otherwise="Unknown"))
    reason: str = field(metadata=CONDITION_REASON)
    message: str = field(metadata=SENTENCE)
    # RFC 3339, UTC.
    last_transition_time: str = field(metadata=bounded(date_time=True, otherwise=UNKNOWN_TIME))
    observed_generation: int = field(metadata=COUNT)


@dataclass(frozen=True)
class JobRef:
    """The batch/v1 Job of the current attempt, in the same namespace."""

    name: str = field(metadata=bounded(max_length=253))
    uid: str | None = field(default=None, metadata=bounded(max_length=64))
    ordinal: int = field(default=1, metadata=bounded(minimum=1, maximum=INT32))
    # Jobs before it that were deleted from outside, or whose report was lost.
    lost: int = field(default=0, metadata=SMALL_COUNT)
    # Of many files: one of names.PHASES.
    phase: str | None = field(default=None, metadata=WORD)


@dataclass(frozen=True)
class ResultObject:
    """One object in the destination's bucket. `etag` is empty where the report in S3 alone has it."""

    format: str = field(metadata=WORD)
    key: str = field(metadata=KEY)
    size: int = field(metadata=COUNT)  # bytes
    etag: str = field(metadata=NAME)
    channel: int | None = field(default=None, metadata=SMALL_COUNT)  # from 0, with audio.channel split


@dataclass(frozen=True)
class ProgressStatus:
    """The worker's progress, which is copied at most every 10 s."""

    stage: str = field(metadata=WORD)
    percent: int | None = field(default=None, metadata=bounded(minimum=0, maximum=100))
    seconds_done: float | None = field(default=None, metadata=SECONDS)
    seconds_total: float | None = field(default=None, metadata=SECONDS)
    eta_seconds: float | None = field(default=None, metadata=SECONDS)
    eta: str | None = field(default=None, metadata=WORD)  # 1h02m03s, for people
    observed_time: str | None = field(default=None, metadata=TIME)


@dataclass(frozen=True)
class PhaseSeconds:
    """How long each phase of the work over many files took.

    `plan` and `collect` are from the Job's creation to its end. The time of the Job that transcribes is divided at the start
    of its first pod into `queue` and `transcribe`.
    """

    plan: float | None = field(default=None, metadata=SECONDS)
    queue: float | None = field(default=None, metadata=SECONDS)
    transcribe: float | None = field(default=None, metadata=SECONDS)
    collect: float | None = field(default=None, metadata=SECONDS)


@dataclass(frozen=True)
class DisruptionCounts:
    """Worker pods that ended for their node's sake. Kubernetes does not count them as failed."""

    # Drained, preempted or on a lost node. These are no attempts.
    disrupted: int = field(default=0, metadata=SMALL_COUNT)
    # By the kubelet, for using more than was requested. Each is an attempt.
    evicted: int = field(default=0, metadata=SMALL_COUNT)
    last_pod_created: str | None = field(default=None, metadata=TIME)  # creation of the newest pod that is counted


@dataclass(frozen=True)
class ActiveTime:
    """The time that counts for spec.activeDeadlineSeconds."""

    # Of earlier Jobs, and before the newest one was suspended.
    seconds: float = field(default=0.0, metadata=SECONDS)
    since: str | None = field(default=None, metadata=TIME)  # since when the newest Job has been active
    until: str | None = field(default=None, metadata=TIME)  # until when one was, while none is


@dataclass(frozen=True)
class Failure:
    """Why a resource failed, and what to do. `exit_code` is the worker's, where a worker ran."""

    reason: str = field(metadata=WORD)
    message: str = field(metadata=SENTENCE)
    advice: str = field(metadata=bounded(max_length=4096))
    exit_code: int | None = field(default=None, metadata=bounded(minimum=-INT32 - 1, maximum=INT32))


@dataclass(frozen=True)
class Status:
    """What happened to a resource. All fields but the phase may be absent. Times are in RFC 3339 and UTC."""

    observed_generation: int | None = field(default=None, metadata=COUNT)
    phase: Phase | None = None
    conditions: tuple[Condition, ...] = field(default=(), metadata=bounded(max_items=MAX_CONDITIONS))
    job_ref: JobRef | None = None
    # Worker pods that failed before, plus one.
    attempt: int | None = field(default=None, metadata=SMALL_COUNT)
    disruptions: DisruptionCounts | None = None
    active_time: ActiveTime | None = None  # with spec.activeDeadlineSeconds, until the end
    queued_time: str | None = field(default=None, metadata=TIME)  # the first Job was created
    start_time: str | None = field(default=None, metadata=TIME)  # the first worker started
    completion_time: str | None = field(default=None, metadata=TIME)
    queue_seconds: float | None = field(default=None, metadata=SECONDS)  # queued_time to start_time
    progress: ProgressStatus | None = None
    # Of many files.
    plan: PlanSummary | None = None
    files: FileCounts | None = None
    files_done: str | None = field(default=None, metadata=WORD)  # 38/100, for people
    active_pods: int | None = field(default=None, metadata=SMALL_COUNT)
    phase_seconds: PhaseSeconds | None = None
    engine: str | None = field(default=None, metadata=NAME)  # and its version
    device: DeviceUsed | None = None
    model: ModelUsed | None = None
    precision: str | None = field(default=None, metadata=WORD)
    long_form: str | None = field(default=None, metadata=WORD)
    # Transcribed apart, with audio.channel split.
    channels: int | None = field(default=None, metadata=bounded(minimum=1, maximum=INT32))
    language: str | None = field(default=None, metadata=WORD)
    language_probability: float | None = field(default=None, metadata=FRACTION)
    audio_seconds: float | None = field(default=None, metadata=SECONDS)
    audio_duration: str | None = field(default=None, metadata=WORD)  # 1h02m03s, for people
    wall_seconds: float | None = field(default=None, metadata=SECONDS)
    rtfx: float | None = field(default=None, metadata=bounded(minimum=0))  # rounded to one decimal
    # The share of the time of the pod, or of all pods over many files, in which their GPUs waited for audio.
    audio_wait_share: float | None = field(default=None, metadata=FRACTION)
    words: int | None = field(default=None, metadata=COUNT)
    segments: int | None = field(default=None, metadata=COUNT)
    # Taken of the tracks in the file, counted from 0, and their number, where the format can have several.
    audio_track: int | None = field(default=None, metadata=SMALL_COUNT)
    audio_tracks: int | None = field(default=None, metadata=SMALL_COUNT)
    # What is wrong with the file though its audio was transcribed.
    warnings: tuple[str, ...] | None = field(
        default=None, metadata=bounded(max_length=WARNING_LIMIT, max_items=MAX_WARNINGS)
    )
    quality: QualityCounts | None = None
    results: tuple[ResultObject, ...] = field(default=(), metadata=bounded(max_items=MAX_RESULTS))
    report_key: str | None = field(default=None, metadata=KEY)
    reused: bool | None = None
    preview: str | None = field(default=None, metadata=bounded(max_length=500))
    # Of many files it is known before the end: they are accounted for in any case.
    failure: Failure | None = None
