"""Prometheus metrics. Names start with transcription_; times are in seconds. docs/observability.md describes each one."""

import enum
from collections.abc import Container

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram
from transcription_api import reasons
from transcription_api.codec import to_json
from transcription_api.status import ConditionType, Phase, PhaseSeconds, Status

from transcription_operator.models.objects import Resource
from transcription_operator.models.times import seconds_between
from transcription_operator.reconcile.conditions import is_true
from transcription_operator.reconcile.status_transitions import is_finished

# Seconds.
RECONCILE_BUCKETS = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 10)
# Seconds, from one to half a day: queues for GPUs are long.
QUEUE_BUCKETS = (1, 5, 15, 60, 300, 900, 3600, 10_800, 43_200)
RUN_BUCKETS = (5, 15, 60, 300, 900, 3600, 10_800, 43_200)


PHASES = tuple(phase.value for phase in Phase)
# The values of the label outcome: fields of FileCounts.
FILE_OUTCOMES = ("done", "reused", "failed")
# The value of a label for a phase or reason that this version does not know.
OTHER = "Other"


class ReconcileError(enum.Enum):
    """Why a reconcile failed: the values of the label kind."""

    NOT_LEADING = "NotLeading"  # a write was not sent, because this replica is not the leader
    CONFLICT = "Conflict"  # an object had changed or was gone, so that the cache was out of date
    API = "Api"  # the apiserver responded with another error
    UNREACHABLE = "Unreachable"  # the apiserver did not respond
    DEFECT = "Defect"  # an exception that the operator does not expect


class Metrics:
    """The metrics and their registry. Each instance has its own registry, so that tests do not share one."""

    def __init__(self) -> None:
        self.registry = CollectorRegistry()
        self._duration = self._histogram("reconcile_seconds", "Duration of one reconcile", RECONCILE_BUCKETS)
        self._errors = Counter(
            "transcription_reconcile_errors", "Reconciles that failed, by kind", ["kind"], registry=self.registry
        )
        self._requests = Counter(
            "transcription_api_requests",
            "Requests to the apiserver",
            ["method", "code"],
            registry=self.registry,
        )
        self.queue_depth = Gauge(
            "transcription_queue_depth", "Resources that wait to be reconciled", registry=self.registry
        )
        self.leading = Gauge(
            "transcription_leading", "1 on the replica that is the leader, 0 on the others", registry=self.registry
        )
        self.namespaces_unavailable = Gauge(
            "transcription_namespaces_unavailable", "Watched namespaces that cannot be listed", registry=self.registry
        )
        self.failed_deletions = Gauge(
            "transcription_failed_deletions", "Jobs that could not delete all results", registry=self.registry
        )
        self._jobs = Gauge(
            "transcription_jobs", "Resources by phase and reason", ["phase", "reason"], registry=self.registry
        )
        self._queued = self._histogram("queue_wait_seconds", "First Job to first worker", QUEUE_BUCKETS)
        self._run = self._histogram("run_seconds", "First worker to the end", RUN_BUCKETS, ["phase"])
        self._phases = self._histogram(
            "phase_seconds", "A Job of one phase of the work over many files", RUN_BUCKETS, ["phase"]
        )
        self._files = Counter(
            "transcription_files", "Files accounted for, by outcome", ["outcome"], registry=self.registry
        )
        self._audio = Counter("transcription_audio_seconds", "Audio transcribed", registry=self.registry)
        self._begin_at_zero()

    def _begin_at_zero(self) -> None:
        """Show the series of which the values are known: rate() of one that begins with 1 does not see the first."""
        for error in ReconcileError:
            self._errors.labels(error.value)
        for end in (Phase.COMPLETE, Phase.FAILED):
            self._run.labels(end.value)
        for outcome in FILE_OUTCOMES:
            self._files.labels(outcome)

    def reconcile_ended(self, seconds: float, error: ReconcileError | None) -> None:
        """Count a reconcile. `error` is None if it did not fail."""
        self._duration.observe(seconds)
        if error is not None:
            self._errors.labels(error.value).inc()

    def request_sent(self, method: str, status: int) -> None:
        """Count a request to the apiserver by the HTTP status of its response, 0 where there was none."""
        self._requests.labels(method, str(status) if status else "none").inc()

    def resource_changed(self, old: Resource | None, new: Resource | None) -> None:
        """Move a resource from one phase and reason to another. None stands for a resource that does not exist."""
        if old is not None:
            self._jobs.labels(*_state(old)).dec()
        if new is not None:
            self._jobs.labels(*_state(new)).inc()

    def status_written(self, previous: Status, status: Status) -> None:
        """Count what a status that was just written shows for the first time."""
        if status.queue_seconds is not None and previous.queue_seconds is None:
            self._queued.observe(status.queue_seconds)
        if status.phase_seconds is not None:
            before = to_json(previous.phase_seconds or PhaseSeconds())
            for phase, seconds in to_json(status.phase_seconds).items():
                if phase not in before:
                    self._phases.labels(phase).observe(seconds)
        if is_finished(previous) or not is_finished(status):
            return
        self._count_files(status)
        if status.start_time and status.completion_time and status.phase:
            self._run.labels(status.phase.value).observe(_between(status.start_time, status.completion_time))
        if status.phase is Phase.COMPLETE and status.audio_seconds and not status.reused:
            self._audio.inc(status.audio_seconds)

    def _count_files(self, status: Status) -> None:
        if status.files is None or not is_true(status.conditions, ConditionType.COLLECTED):
            return
        for outcome in FILE_OUTCOMES:
            self._files.labels(outcome).inc(getattr(status.files, outcome))

    def _histogram(
        self, name: str, text: str, buckets: tuple[float, ...], labels: list[str] | None = None
    ) -> Histogram:
        return Histogram(f"transcription_{name}", text, labels or [], buckets=buckets, registry=self.registry)


def _state(resource: Resource) -> tuple[str, str]:
    """The values of the labels phase and reason. A worker may invent reasons, and each would become a series for good."""
    return _known(resource.phase, PHASES), _known(resource.reason, reasons.BY_NAME)


def _known(value: str, values: Container[str]) -> str:
    return value if not value or value in values else OTHER


def _between(start: str, end: str) -> float:
    return max(0.0, seconds_between(start, end))
