"""Decide what is to be done for one resource: a pure function of what was observed, the settings and the time.

Any call may be the first after a crash, and a call whose plan was carried out is followed by one whose plan is empty.
"""

import dataclasses
import functools
import json
from datetime import datetime

from transcription_api import reasons
from transcription_api.codec import InvalidFieldError
from transcription_api.spec import Spec, parse_spec
from transcription_api.status import ConditionType, Failure, JobRef, Status

from transcription_operator.config import Config
from transcription_operator.manifests.job import render_job
from transcription_operator.models.objects import JobView
from transcription_operator.models.times import format_time, seconds_between
from transcription_operator.reconcile import status as fold
from transcription_operator.reconcile.admission_policy import refuse
from transcription_operator.reconcile.conditions import holds
from transcription_operator.reconcile.conditions import observed as observed_at
from transcription_operator.reconcile.events import notes_of
from transcription_operator.reconcile.job_outcome import fold_job
from transcription_operator.reconcile.plan import Observed, Plan, Refusal
from transcription_operator.reconcile.pods import attempt_number, pending_since
from transcription_operator.reconcile.termination import make_failure

# Jobs of one resource: one that is deleted from outside is followed by the next, but not for ever.
MAX_ORDINAL = 10
# Seconds. A pod's troubles (no node, no image) change no Job, so they are looked for, ever more seldom.
FIRST_LOOK_SECONDS = 3.0
LAST_LOOK_SECONDS = 60.0
# Seconds until a Job that is being deleted is looked for again, in case its last event is lost.
DELETION_LOOK_SECONDS = 10.0


def decide(seen: Observed, config: Config, now: datetime) -> Plan:
    """The plan for one resource. Refused specs and finished resources have no Job made."""
    if seen.resource.deleting:
        return Plan()
    previous = fold.parse_status(seen.resource.status)
    try:
        spec = _parsed(seen.resource.spec_json)
    except InvalidFieldError as error:
        return _refused(seen, previous, make_failure(reasons.INVALID_SPEC, str(error)), now)
    if fold.is_finished(previous):
        return _finished(seen, previous, spec, now)
    failure = refuse(spec, config)
    if failure is not None:
        return _refused(seen, previous, failure, now)
    accepted = _accepted(seen, fold.with_model(previous, spec))
    if seen.refusal is not None:
        return _not_created(seen, accepted, seen.refusal, now)
    if spec.suspend:
        return _suspended(seen, accepted, spec, now)
    if seen.job is None:
        return _next_job(seen, accepted, spec, config, now)
    return _follow(seen, accepted, spec, seen.job, now)


# One reconcile decides two or three times: as many specs as workers can have in hand.
@functools.lru_cache(maxsize=64)
def _parsed(spec_json: bytes) -> Spec:
    return parse_spec(json.loads(spec_json))


def _accepted(seen: Observed, status: Status) -> Status:
    message = "the spec is valid"
    return fold.with_condition(status, ConditionType.ACCEPTED, True, reasons.SPEC_VALID, message, seen.resource.created)


def _refused(seen: Observed, previous: Status, failure: Failure, now: datetime) -> Plan:
    """Not accepted, and failed at once."""
    if fold.is_finished(previous):
        return _written(seen, previous, Plan())
    reason, at = reasons.BY_NAME[failure.reason], format_time(now)
    status = fold.with_condition(previous, ConditionType.ACCEPTED, False, reason, failure.message, at)
    return _written(seen, fold.failed(status, failure, at), Plan())


def _finished(seen: Observed, previous: Status, spec: Spec, now: datetime) -> Plan:
    """Whatever still runs is ended, and the resource goes when its time has come."""
    left = tuple(job for job in seen.jobs if job.outcome is None and not job.deleting)
    plan = Plan(delete_jobs=left)
    if spec.ttl_seconds_after_finished is not None and previous.completion_time is not None:
        due = spec.ttl_seconds_after_finished - seconds_between(previous.completion_time, now)
        plan = dataclasses.replace(plan, delete_resource=due <= 0, requeue_seconds=due if due > 0 else None)
    return plan if plan.delete_resource else _written(seen, previous, plan)


def _not_created(seen: Observed, status: Status, refusal: Refusal, now: datetime) -> Plan:
    at = format_time(now)
    if refusal.reason.permanent:
        return _written(seen, fold.failed(status, make_failure(refusal.reason, refusal.message), at), Plan())
    status = fold.waiting(status, refusal.reason, refusal.message, at)
    return _written(seen, status, Plan(requeue_seconds=LAST_LOOK_SECONDS))


def _suspended(seen: Observed, status: Status, spec: Spec, now: datetime) -> Plan:
    """A queue would start a Job that we suspend, so with one the Job goes; without, the Job itself is suspended."""
    job = seen.job
    if job is not None and job.outcome is not None:
        return _follow(seen, status, spec, job, now)
    status = fold.suspended(status, reasons.SUSPENDED_BY_SPEC, "spec.suspend is true", format_time(now))
    if job is None:
        return _written(seen, status, Plan())
    if spec.queue_name is not None:
        return _written(seen, _referred(status, job), Plan(delete_jobs=() if job.deleting else (job,)))
    if not job.suspended and not job.deleting:
        return Plan(suspend=(job, True))
    return _written(seen, _referred(status, job), Plan())


def _next_job(seen: Observed, status: Status, spec: Spec, config: Config, now: datetime) -> Plan:
    """The first Job, the one after a suspension, or the one after a Job that somebody deleted."""
    last = status.job_ref.ordinal if status.job_ref is not None else 0
    lost = last > 0 and not holds(status.conditions, ConditionType.SUSPENDED, reasons.SUSPENDED_BY_SPEC)
    if lost and last >= MAX_ORDINAL:
        message = f"Job number {last} was deleted from outside, as were others before it"
        failure = make_failure(reasons.JOBS_KEEP_VANISHING, message)
        return _written(seen, fold.failed(status, failure, format_time(now)), Plan())
    return Plan(create=render_job(seen.resource, spec, last + 1, config))


def _follow(seen: Observed, status: Status, spec: Spec, job: JobView, now: datetime) -> Plan:
    """The Job exists: the status follows it."""
    if job.deleting and job.outcome is None:
        message = f"Job {job.name} is being deleted"
        status = fold.waiting(status, reasons.JOB_LOST, message, format_time(now))
        return _written(seen, status, Plan(requeue_seconds=DELETION_LOOK_SECONDS))
    status = _referred(status, job)
    if job.suspended and job.outcome is None:
        return _held(seen, status, spec, job, now)
    status = fold.resumed(status, job.started or format_time(now))
    late = _pending_too_long(seen, spec, job, now)
    if late is not None:
        return _written(seen, fold.failed(status, late, format_time(now)), Plan(delete_jobs=(job,)))
    status, poll = fold_job(status, spec, job, seen, format_time(now))
    return _written(seen, status, Plan(poll=poll, requeue_seconds=_next_look(seen, spec, job, now)))


def _held(seen: Observed, status: Status, spec: Spec, job: JobView, now: datetime) -> Plan:
    """Suspended, but not by the spec: by a queue, or by us before the spec was changed back."""
    if spec.queue_name is None:
        return Plan(suspend=(job, False))
    message = f"Job {job.name} waits in queue {spec.queue_name}"
    at = format_time(now) if status.start_time else job.created
    return _written(seen, fold.suspended(status, reasons.WAITING_FOR_QUEUE, message, at), Plan())


def _referred(status: Status, job: JobView) -> Status:
    reference = JobRef(job.name, job.uid, job.ordinal)
    return fold.with_job(status, reference, job.created, attempt_number(job))


def _pending_too_long(seen: Observed, spec: Spec, job: JobView, now: datetime) -> Failure | None:
    since = pending_since(job, seen.pods) if job.outcome is None else None
    limit = spec.pending_deadline_seconds
    if since is None or limit is None or seconds_between(since, now) < limit:
        return None
    pod = seen.pods[-1] if seen.pods else None
    words = (pod.unschedulable or pod.waiting_message or pod.waiting_reason) if pod is not None else None
    message = f"no worker started within {limit} s: {words or 'the Job has no pod'}"
    return make_failure(reasons.PENDING_DEADLINE_EXCEEDED, message)


def _next_look(seen: Observed, spec: Spec, job: JobView, now: datetime) -> float | None:
    """Seconds until the pods are looked at again without an event."""
    if job.outcome is not None:
        return None
    since = pending_since(job, seen.pods)
    if since is None:
        return LAST_LOOK_SECONDS
    waited = seconds_between(since, now)
    look = min(max(waited / 4, FIRST_LOOK_SECONDS), LAST_LOOK_SECONDS)
    if spec.pending_deadline_seconds is not None:
        look = min(look, max(spec.pending_deadline_seconds - waited, 0.1))
    return look


def _written(seen: Observed, status: Status, plan: Plan) -> Plan:
    """The plan with the status, if it differs from the stored one, and the events that tell of the change."""
    generation = seen.resource.generation
    conditions = observed_at(status.conditions, generation)
    status = dataclasses.replace(status, observed_generation=generation, conditions=conditions)
    previous = fold.parse_status(seen.resource.status)
    if status == previous:
        return plan
    return dataclasses.replace(plan, status=status, events=notes_of(previous, status))
