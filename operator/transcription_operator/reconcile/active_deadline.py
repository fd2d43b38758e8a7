"""spec.activeDeadlineSeconds, of all attempts together: how much of it has passed, and what took the time when it is over.

A Job counts the time anew when it is resumed, and so does the Job that follows one that was deleted. So the status keeps the
time of earlier Jobs and before pauses; the next Job gets the rest, and a resumed one is ended here.
"""

import dataclasses
from datetime import datetime

from transcription_api import reasons
from transcription_api.spec import Spec
from transcription_api.status import ActiveTime, ConditionType, Failure, Status

from transcription_operator.models.objects import JobView
from transcription_operator.models.times import earliest, format_duration, format_time, latest, seconds_between
from transcription_operator.reconcile.conditions import find_condition
from transcription_operator.reconcile.pods import attempt_number
from transcription_operator.reconcile.termination import Termination, make_failure

# What to do where the time went by before any worker started.
WAITING_ADVICE = "Add nodes that take the pod, or raise spec.activeDeadlineSeconds: the wait for a node counts."
# Seconds before the deadline from which the Job controller's clock may have reached it: times are in whole seconds.
DUE_SECONDS = 1.0
# Seconds by which a Job's start may differ from the one known before without being another start.
START_TOLERANCE_SECONDS = 60.0


def with_active_time(status: Status, spec: Spec, job: JobView | None, now: datetime) -> Status:
    """Begin to count when a Job becomes active, and stop when it is suspended or gone."""
    if spec.active_deadline_seconds is None:
        return status
    if job is not None and job.outcome is not None:
        return _with_unseen_phase(status, job)
    known = status.active_time or ActiveTime()
    if known.since is not None:
        known = _stopped(known, known.since, status, spec, job, now)
    if known.since is None and job is not None and job.started is not None and _is_active(job, spec):
        started = latest(job.started, known.until) if known.until is not None else job.started
        known = dataclasses.replace(known, since=started, until=None)
    return status if known == ActiveTime() else dataclasses.replace(status, active_time=known)


def _with_unseen_phase(status: Status, job: JobView) -> Status:
    """Count the time of a phase that ended before it was seen to have begun: the next phase has what it left."""
    known = status.active_time or ActiveTime()
    if job.phase is None or job.started is None or job.outcome_time is None or known.since is not None:
        return status
    started = latest(job.started, known.until) if known.until is not None else job.started
    seconds = max(0.0, seconds_between(started, job.outcome_time))
    if seconds == 0.0:
        return status
    known = ActiveTime(known.seconds + seconds, None, job.outcome_time)
    return dataclasses.replace(status, active_time=known)


def _stopped(
    known: ActiveTime, since: str, status: Status, spec: Spec, job: JobView | None, now: datetime
) -> ActiveTime:
    """The count up to the end of the period that began at `since`, or unchanged if the same Job is still active."""
    at = format_time(now)
    if job is None or job.deleting:
        until = at
    elif status.job_ref is not None and status.job_ref.ordinal != job.ordinal:
        until = job.created
    elif not _is_active(job, spec):
        until = earliest(at, job.suspended_since) if job.suspended_since is not None else at
    elif job.started is not None and seconds_between(since, job.started) > START_TOLERANCE_SECONDS:
        until = since  # nobody saw the pause, so that its beginning is not known
    else:
        return known
    return ActiveTime(known.seconds + max(0.0, seconds_between(since, until)), None, until)


def _is_active(job: JobView, spec: Spec) -> bool:
    """Whether the Job's time counts. A Job with a queue is deleted to suspend it."""
    leaving = spec.suspend and spec.queue_name is not None
    return not (job.deleting or job.suspended or job.resuming or leaving)


def seconds_left(status: Status, spec: Spec, now: datetime) -> float | None:
    """The seconds until the deadline if the Job goes on, 0 or less if it is over, None without a deadline."""
    if spec.active_deadline_seconds is None:
        return None
    known = status.active_time or ActiveTime()
    running = seconds_between(known.since, now) if known.since is not None else 0.0
    return spec.active_deadline_seconds - known.seconds - running


def is_due(status: Status, spec: Spec, now: datetime) -> bool:
    """Whether the deadline has come or is about to: from then on the Job controller deletes pods, and says so later."""
    left = seconds_left(status, spec, now)
    return left is not None and left <= DUE_SECONDS


def is_over(status: Status, spec: Spec, now: datetime) -> bool:
    """Whether the deadline has passed by the time of earlier Jobs or before a pause; the Job itself does not know of that."""
    left = seconds_left(status, spec, now)
    return left is not None and left <= 0 and status.active_time is not None and status.active_time.seconds > 0


def explain_deadline(status: Status, spec: Spec, job: JobView | None, termination: Termination | None) -> Failure:
    """The failure of a resource whose deadline has passed: how the time was spent."""
    over = f"activeDeadlineSeconds: {spec.active_deadline_seconds} s were over"
    if status.start_time is None:
        running = find_condition(status.conditions, ConditionType.RUNNING)
        why = running.message if running is not None else "the Job has no pod"
        failure = make_failure(reasons.DEADLINE_EXCEEDED, f"{over} and no worker started: {why}")
        return dataclasses.replace(failure, advice=WAITING_ADVICE)
    parts = [f"{over} before the transcription was", *_time_spent(status, job, termination)]
    return make_failure(reasons.DEADLINE_EXCEEDED, "; ".join(parts))


def _time_spent(status: Status, job: JobView | None, termination: Termination | None) -> list[str]:
    parts = [f"the first worker started {format_duration(status.queue_seconds or 0)} after the Job was created"]
    attempts = attempt_number(job) if job is not None else status.attempt or 1
    failure = termination.failure if termination is not None else None
    if attempts > 1:
        parts.append(f"{attempts} attempts were made")
    if failure is not None and failure.reason != reasons.INTERRUPTED.name:
        parts.append(f"the last to end failed with {failure.reason}: {failure.message}")
    if status.progress is not None and status.progress.percent is not None:
        parts.append(f"the last worker had transcribed {status.progress.percent}% of the audio")
    return parts
