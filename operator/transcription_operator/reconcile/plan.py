"""What one reconcile saw, and what it decided: plain values between observe, decide and apply."""

from dataclasses import dataclass
from typing import Any

from transcription_api.reasons import Reason
from transcription_api.report import Progress
from transcription_api.status import Status

from transcription_operator.models.objects import JobView, PodView, Resource


@dataclass(frozen=True)
class SeenProgress:
    """A worker's answer, and when it came."""

    progress: Progress
    time: str


@dataclass(frozen=True)
class Refusal:
    """The apiserver's no to a Job: a reason for good, or JobNotCreated to try again."""

    reason: Reason
    message: str


@dataclass(frozen=True)
class Observed:
    """`job` is the resource's newest Job. Where it is None, a live read has shown that there is none."""

    resource: Resource
    job: JobView | None = None
    jobs: tuple[JobView, ...] = ()  # all of the resource's, the newest too
    pods: tuple[PodView, ...] = ()  # the newest Job's, oldest first
    progress: SeenProgress | None = None
    refusal: Refusal | None = None


@dataclass(frozen=True)
class EventNote:
    """A Kubernetes event to come. The same note gives the same event, however often it is posted."""

    kind: str  # Normal or Warning
    reason: str
    message: str


@dataclass(frozen=True)
class Plan:
    """In the order in which it is carried out. After `create` or `suspend` the resource is observed and decided anew."""

    create: dict[str, Any] | None = None  # a Job's manifest
    suspend: tuple[JobView, bool] | None = None  # spec.suspend of the Job
    status: Status | None = None
    events: tuple[EventNote, ...] = ()
    delete_jobs: tuple[JobView, ...] = ()
    delete_resource: bool = False
    poll: PodView | None = None  # whose progress is asked for
    requeue_seconds: float | None = None
