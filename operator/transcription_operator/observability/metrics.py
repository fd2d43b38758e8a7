"""Prometheus metrics. Names start with transcription_; times are in seconds."""

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram
from transcription_api.status import ConditionType, Phase, Status

from transcription_operator.models.objects import Resource
from transcription_operator.models.times import seconds_between
from transcription_operator.reconcile import status as fold

RECONCILE_BUCKETS = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 10)
# From a second to half a day: queues for GPUs are long.
QUEUE_BUCKETS = (1, 5, 15, 60, 300, 900, 3600, 10_800, 43_200)
RUN_BUCKETS = (5, 15, 60, 300, 900, 3600, 10_800, 43_200)


class Metrics:
    """One registry, so that tests can have their own."""

    def __init__(self) -> None:
        self.registry = CollectorRegistry()
        self._duration = self._histogram("reconcile_seconds", "Duration of one reconcile", RECONCILE_BUCKETS)
        self._errors = Counter(
            "transcription_reconcile_errors", "Reconciles that failed, by kind", ["kind"], registry=self.registry
        )
        self.queue_depth = Gauge(
            "transcription_queue_depth", "Resources that wait for a worker", registry=self.registry
        )
        self.leading = Gauge("transcription_leading", "1 on the replica that acts", registry=self.registry)
        self._jobs = Gauge(
            "transcription_jobs", "Resources by phase and reason", ["phase", "reason"], registry=self.registry
        )
        self._queued = self._histogram("queue_wait_seconds", "First Job to first worker", QUEUE_BUCKETS)
        self._run = self._histogram("run_seconds", "First worker to the end", RUN_BUCKETS, ["phase"])
        self._audio = Counter("transcription_audio_seconds", "Audio transcribed", registry=self.registry)

    def reconciled(self, seconds: float, failed: str | None) -> None:
        self._duration.observe(seconds)
        if failed is not None:
            self._errors.labels(failed).inc()

    def changed(self, old: Resource | None, new: Resource | None) -> None:
        """Keeps the number of resources in each state, without a pass over all of them."""
        if old is not None and new is not None and old.status_json == new.status_json:
            return
        if old is not None:
            self._jobs.labels(*_state(old)).dec()
        if new is not None:
            self._jobs.labels(*_state(new)).inc()

    def written(self, resource: Resource, status: Status) -> None:
        """What a turn in a status, written by us, tells."""
        before = fold.parse_status(resource.status)
        if status.queue_seconds is not None and before.queue_seconds is None:
            self._queued.observe(status.queue_seconds)
        if fold.is_finished(before) or not fold.is_finished(status):
            return
        if status.start_time and status.completion_time and status.phase:
            self._run.labels(status.phase.value).observe(_between(status.start_time, status.completion_time))
        if status.phase is Phase.COMPLETE and status.audio_seconds and not status.reused:
            self._audio.inc(status.audio_seconds)

    def _histogram(
        self, name: str, text: str, buckets: tuple[float, ...], labels: list[str] | None = None
    ) -> Histogram:
        return Histogram(f"transcription_{name}", text, labels or [], buckets=buckets, registry=self.registry)


def _between(start: str, end: str) -> float:
    return max(0.0, seconds_between(start, end))


def _state(resource: Resource) -> tuple[str, str]:
    """Phase, and the failure's reason or why no worker runs."""
    status = resource.status
    failure: dict[str, str] = status.get("failure") or {}
    running: dict[str, str] = next(
        (item for item in status.get("conditions") or () if item["type"] == ConditionType.RUNNING.value), {}
    )
    return status.get("phase") or "", failure.get("reason") or running.get("reason") or ""
