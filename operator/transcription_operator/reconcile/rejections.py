"""Tell in the status what the apiserver refuses: a Job that it does not create, suspend or resume."""

from datetime import datetime

from transcription_api import reasons
from transcription_api.spec import Spec
from transcription_api.status import ConditionType, Failure, Status

from transcription_operator.manifests.job_fields import spec_field
from transcription_operator.models.times import format_time, seconds_between
from transcription_operator.reconcile import status_transitions as transitions
from transcription_operator.reconcile.conditions import find_condition
from transcription_operator.reconcile.observed_state import JobRejection
from transcription_operator.reconcile.requeue import growing_delay
from transcription_operator.reconcile.termination import make_failure


def report_rejection(status: Status, spec: Spec, rejection: JobRejection, now: datetime) -> tuple[Status, float | None]:
    """The status, and the seconds until the next try, or None if the resource has failed."""
    at = format_time(now)
    failure = _permanent_failure(spec, rejection)
    if failure is not None:
        return transitions.mark_failed(status, failure, at), None
    if rejection.reason is reasons.JOB_NOT_UPDATED:
        status = transitions.mark_suspended(status, rejection.reason, rejection.message, at)
        return status, growing_delay(seconds_between(_waiting_since(status, at), now))
    status = transitions.mark_pending(transitions.mark_resumed(status, at), rejection.reason, rejection.message, at)
    waited = seconds_between(_waiting_since(status, at), now)
    limit = spec.pending_deadline_seconds
    if limit is None:
        return status, growing_delay(waited)
    if waited < limit:
        return status, min(growing_delay(waited), limit - waited)
    message = f"no worker started within {limit} s: {rejection.message}"
    return transitions.mark_failed(status, make_failure(reasons.PENDING_DEADLINE_EXCEEDED, message), at), None


def with_refused_suspension(status: Status, rejection: JobRejection | None, now: datetime) -> Status:
    """Set Suspended=False with the words of the apiserver, which did not let the Job be suspended."""
    if rejection is None or transitions.is_finished(status):
        return status
    at = format_time(now)
    return transitions.with_condition(status, ConditionType.SUSPENDED, False, rejection.reason, rejection.message, at)


def _permanent_failure(spec: Spec, rejection: JobRejection) -> Failure | None:
    """The failure of a Job that can never be created: its name is taken, or a value of the spec makes it invalid."""
    if rejection.reason.permanent:
        return make_failure(rejection.reason, rejection.message)
    fields = [(spec_field(field, spec), words) for field, words in rejection.invalid_fields]
    invalid = "; ".join(f"{field}: {words}" for field, words in fields if field is not None)
    return make_failure(reasons.INVALID_SPEC, invalid) if invalid else None


def _waiting_since(status: Status, now: str) -> str:
    """Since when no worker runs although the spec lets one run.

    Both times are those of conditions, which stay while tries go on: Running=False, and the end of a suspension.
    """
    found = (find_condition(status.conditions, kind) for kind in (ConditionType.RUNNING, ConditionType.SUSPENDED))
    return max((item.last_transition_time for item in found if item and item.status == "False"), default=now)
