"""How soon a resource whose Job goes on is looked at again although no watch has shown a change."""

from datetime import datetime

from transcription_api.spec import Spec
from transcription_api.status import Status

from transcription_operator.models.objects import JobView
from transcription_operator.models.times import seconds_between
from transcription_operator.reconcile import status_transitions as transitions
from transcription_operator.reconcile.active_deadline import seconds_left
from transcription_operator.reconcile.observed_state import ObservedState
from transcription_operator.reconcile.pending import awaited_since
from transcription_operator.reconcile.requeue import MAX_REQUEUE_SECONDS, STORED_REQUEUE_SECONDS, growing_delay
from transcription_operator.reconcile.shards import seconds_until_shown
from transcription_operator.reconcile.worker_end import grace_left


def seconds_until_next_look(
    observed: ObservedState, status: Status, spec: Spec, job: JobView, grace: float, now: datetime
) -> float | None:
    """Seconds until the pods are looked at again although no watch has shown a change."""
    if job.outcome is not None:
        return None if transitions.is_finished(status) else STORED_REQUEUE_SECONDS
    due = [grace_left(pod, grace, now) for pod in observed.pods if pod.outlived]
    since = awaited_since(observed, job, now)
    waited = seconds_between(since, now) if since is not None else 0.0
    if since is not None and spec.pending_deadline_seconds is not None:
        due.append(max(spec.pending_deadline_seconds - waited, 0.1))
    if (left := seconds_left(status, spec, now)) is not None:
        due.append(left)
    if job.has_shards:
        due.append(seconds_until_shown(status, job, now))
    regular = MAX_REQUEUE_SECONDS if since is None else growing_delay(waited)
    return min([regular, *(seconds for seconds in due if seconds > 0)])
