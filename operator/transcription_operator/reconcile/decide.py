"""Decide what to do for one resource: a pure function of the observed state, the settings and the time.

It is level-triggered: any call may be the first after a crash, and once a plan has been carried out the next one is empty.
"""

import dataclasses
from datetime import datetime

from transcription_api import names, reasons
from transcription_api.bounds import within_bounds
from transcription_api.codec import InvalidFieldError
from transcription_api.spec import Spec
from transcription_api.status import ConditionType, Failure, JobRef, Status

from transcription_operator.config import Config
from transcription_operator.manifests.job import render_job
from transcription_operator.manifests.phase import COLLECT_SECONDS, limit_spec
from transcription_operator.models.objects import JobView
from transcription_operator.models.times import format_time, seconds_between
from transcription_operator.reconcile import status_transitions as transitions
from transcription_operator.reconcile.acceptance import accept_spec
from transcription_operator.reconcile.active_deadline import explain_deadline, is_over, seconds_left, with_active_time
from transcription_operator.reconcile.admission_policy import find_policy_violation
from transcription_operator.reconcile.conditions import find_reason, is_true, with_observed_generation
from transcription_operator.reconcile.deletion import (
    delete_results,
    deletes_results,
    is_unprepared,
    prepare_deletion,
    tell_preparation,
)
from transcription_operator.reconcile.disruptions import conclude_evicted_job, count_disruptions, with_evictions
from transcription_operator.reconcile.events import events_between
from transcription_operator.reconcile.job_status import update_from_job
from transcription_operator.reconcile.next_look import seconds_until_next_look
from transcription_operator.reconcile.node_matching import choose_image, explain_no_node
from transcription_operator.reconcile.observed_state import JobRejection, ObservedState
from transcription_operator.reconcile.observed_times import to_server_time
from transcription_operator.reconcile.pending import pending_deadline_failure
from transcription_operator.reconcile.phase_ends import end_transcription
from transcription_operator.reconcile.phases import current_phase, expects_job, left_behind, seconds_until_account
from transcription_operator.reconcile.plan import Plan
from transcription_operator.reconcile.pods import attempt_number, last_termination
from transcription_operator.reconcile.rejected_status import has_same_outcome, was_rejected, without_rejection
from transcription_operator.reconcile.rejections import report_rejection, with_refused_suspension
from transcription_operator.reconcile.requeue import (
    MIN_QUEUE_REQUEUE_SECONDS,
    MIN_REQUEUE_SECONDS,
    STORED_REQUEUE_SECONDS,
    queue_delay,
)
from transcription_operator.reconcile.scaling import is_refused_scale, pods_to_scale, tell_scale
from transcription_operator.reconcile.shards import update_from_shards
from transcription_operator.reconcile.status_size import within_size
from transcription_operator.reconcile.stored_spec import parse_stored_spec
from transcription_operator.reconcile.succession import (
    MAX_LOST_JOBS,
    explain_lost_report,
    lost_before,
    may_look_again,
    next_counts,
    next_ordinal,
)
from transcription_operator.reconcile.suspension import (
    explain_suspension,
    is_managed_by_others,
    is_suspended_by_us,
    waits_for_others,
)
from transcription_operator.reconcile.termination import make_failure
from transcription_operator.reconcile.time_to_live import seconds_to_live
from transcription_operator.reconcile.worker_end import conclude_job, outlived_pods

# Seconds until a Job that is being deleted is looked for again, in case the watch loses its last event.
DELETION_REQUEUE_SECONDS = 10.0


def decide(observed: ObservedState, config: Config, now: datetime) -> Plan:
    """The plan for one resource. An invalid spec fails without a Job; a finished resource never gets another Job.

    `now` is the apiserver's time.
    """
    if observed.resource.deleting:
        return Plan()
    observed = to_server_time(observed, now)
    try:
        spec = parse_stored_spec(observed.resource.spec_json)
    except InvalidFieldError as error:
        return _reject_unreadable_spec(observed, make_failure(reasons.INVALID_SPEC, str(error)), now)
    if (step := prepare_deletion(observed, spec, config)) is not None:
        return step
    if transitions.is_finished(observed.status):
        return _clean_up(observed, spec, config, now)
    return _decide_unfinished(observed, spec, config, now)


def _decide_unfinished(observed: ObservedState, spec: Spec, config: Config, now: datetime) -> Plan:
    """The plan for a resource that is neither Complete nor Failed."""
    if observed.namespace_ending and observed.job is not None:
        return Plan(delete_jobs=(observed.job,))
    violation = find_policy_violation(spec, config)
    if violation is not None:
        return _reject_spec(observed, violation, now)
    accepted = with_active_time(accept_spec(observed, spec, now), spec, observed.job, now)
    spec = limit_spec(spec, current_phase(spec, observed.status))
    accepted = tell_preparation(observed, accepted, spec, config, now)
    if observed.job is not None and is_unprepared(observed, spec, config):
        observed = dataclasses.replace(observed, rejection=None)  # the Job that transcribes goes on
    if observed.rejection is not None:
        return _report_rejection(observed, accepted, spec, config, observed.rejection, now)
    if spec.suspend:
        return _suspend(observed, accepted, spec, config, now)
    if observed.job is None:
        return _create_job(observed, accepted, spec, config, now)
    return _follow_job(observed, accepted, spec, config, observed.job, now)


def _reject_spec(observed: ObservedState, failure: Failure, now: datetime) -> Plan:
    """Set Accepted=False and Failed=True. The next plan deletes the Jobs."""
    at = format_time(now)
    return _with_status(observed, transitions.mark_failed(_not_accepted(observed, failure, at), failure, at), Plan())


def _reject_unreadable_spec(observed: ObservedState, failure: Failure, now: datetime) -> Plan:
    """Reject a spec that this version cannot read.

    One for which there is a Job has been accepted by a newer version, which may be back soon: its Job goes on, and the
    resource does not fail. One that had finished before stays as it is, without Jobs.
    """
    if transitions.is_finished(observed.status):
        return _with_status(observed, observed.status, Plan(delete_jobs=_unfinished_jobs(observed)))
    if observed.status.job_ref is not None or observed.jobs:
        return _with_status(observed, _not_accepted(observed, failure, format_time(now)), Plan())
    return _reject_spec(observed, failure, now)


def _not_accepted(observed: ObservedState, failure: Failure, at: str) -> Status:
    reason = reasons.BY_NAME[failure.reason]
    return transitions.with_condition(observed.status, ConditionType.ACCEPTED, False, reason, failure.message, at)


def _unfinished_jobs(observed: ObservedState) -> tuple[JobView, ...]:
    return tuple(job for job in observed.jobs if job.outcome is None and not job.deleting)


def _clean_up(observed: ObservedState, spec: Spec, config: Config, now: datetime) -> Plan:
    """Delete the Jobs that still run, and the resource itself once ttlSecondsAfterFinished has passed."""
    unfinished = _unfinished_jobs(observed)
    plan = Plan(delete_jobs=unfinished)
    status, left = seconds_to_live(observed.status, spec, deletes_results(spec, config), now)
    if left is None or left > 0:
        status = tell_preparation(observed, status, spec, config, now)
        return _with_status(observed, status, dataclasses.replace(plan, requeue_after_seconds=left))
    if not deletes_results(spec, config):
        return dataclasses.replace(plan, delete_resource=True)
    status, step = delete_results(observed, status, now)
    step = dataclasses.replace(step, delete_jobs=unfinished)
    return step if step.scale_job or step.delete_resource else _with_status(observed, status, step)


def _report_rejection(
    observed: ObservedState, status: Status, spec: Spec, config: Config, rejection: JobRejection, now: datetime
) -> Plan:
    """Fail the resource, or say what the apiserver refuses and try again later."""
    job = observed.job
    if job is not None and (spec.suspend or is_refused_scale(spec, job, observed)):
        return _follow_job(observed, status, spec, config, job, now)  # it was not changed, and runs on
    status, retry_after = report_rejection(status, spec, rejection, now)
    return _with_status(observed, status, Plan(requeue_after_seconds=retry_after))


def _suspend(observed: ObservedState, status: Status, spec: Spec, config: Config, now: datetime) -> Plan:
    """Suspend the Job, or delete it where somebody else may resume a Job that only we have suspended."""
    job = observed.job
    if job is not None and job.outcome is not None:
        return _follow_job(observed, status, spec, config, job, now)
    message = "spec.suspend is true"
    status = transitions.mark_suspended(status, reasons.SUSPENDED_BY_SPEC, message, format_time(now))
    if job is None:
        return _with_status(observed, status, Plan(delete_jobs=left_behind(spec, status, observed.jobs)))
    referring = _refer_to(status, with_evictions(job, status))
    if job.deleting:
        return _with_status(observed, referring, Plan())
    if is_managed_by_others(spec, job, observed.status):
        return _with_status(observed, referring, Plan(delete_jobs=(job,)))
    if not job.suspended:
        return Plan(suspend_job=(job, True))
    return _with_status(observed, referring, Plan())


def _create_job(observed: ObservedState, status: Status, spec: Spec, config: Config, now: datetime) -> Plan:
    """Create the first Job, the one after a suspension, or the one after a Job that somebody deleted."""
    job_ref = status.job_ref
    if (others := left_behind(spec, status, observed.jobs)) != ():
        return _with_status(observed, status, Plan(delete_jobs=others, requeue_after_seconds=DELETION_REQUEUE_SECONDS))
    lost = expects_job(observed.resource, status) and not is_true(
        status.conditions, ConditionType.SUSPENDED, reasons.SUSPENDED_BY_SPEC
    )
    if job_ref is not None and lost and lost_before(job_ref, lost) >= MAX_LOST_JOBS:
        message = f"Job number {job_ref.ordinal} was deleted from outside, as were others before it"
        failure = make_failure(reasons.JOBS_KEEP_VANISHING, message)
        return _fail(observed, status, spec, failure, now)
    return _create_next_job(observed, status, spec, config, now, lost)


def _create_next_job(
    observed: ObservedState, status: Status, spec: Spec, config: Config, now: datetime, lost: bool
) -> Plan:
    """Create the Job after the one that the status refers to, for what is left of spec.activeDeadlineSeconds."""
    phase, left = current_phase(spec, status), seconds_left(status, spec, now)
    if phase == names.PHASE_COLLECT and (wait := seconds_until_account(status, observed.jobs, now)) > 0:
        return _with_status(observed, status, Plan(requeue_after_seconds=wait))
    if left is not None and phase == names.PHASE_COLLECT:
        left = max(left, COLLECT_SECONDS)
    if left is not None and left <= 0:
        return _fail(observed, status, spec, explain_deadline(status, spec, None, None), now)
    if left is not None:
        spec = dataclasses.replace(spec, active_deadline_seconds=max(1, int(left)))
    config = choose_image(spec, config, observed.nodes)
    counts, ordinal = next_counts(status, lost, phase), next_ordinal(status, observed.jobs)
    shards = status.plan.shards if status.plan is not None else 1
    return Plan(create_job=render_job(observed.resource, spec, ordinal, config, counts, phase, shards))


def _fail(
    observed: ObservedState, status: Status, spec: Spec, failure: Failure, now: datetime, job: JobView | None = None
) -> Plan:
    """Fail the resource and delete its Job. Files that may have been transcribed are accounted for first."""
    at, plan = format_time(now), Plan(delete_jobs=(job,) if job is not None else ())
    if current_phase(spec, status) != names.PHASE_TRANSCRIBE:
        return _with_status(observed, transitions.mark_failed(status, failure, at), plan)
    plan = dataclasses.replace(plan, requeue_after_seconds=STORED_REQUEUE_SECONDS)
    return _with_status(observed, end_transcription(status, job, failure, at), plan)


def _find_results(
    observed: ObservedState, status: Status, spec: Spec, config: Config, message: str, now: datetime
) -> Plan:
    """Say that a complete Job's report is lost. Once that is stored, create the Job that looks for its results."""
    at = format_time(now)
    if spec.suspend:
        suspended = transitions.mark_suspended(status, reasons.SUSPENDED_BY_SPEC, "spec.suspend is true", at)
        return _with_status(observed, suspended, Plan())
    status = transitions.mark_resumed(status, at)
    told = (reasons.REPORT_LOST.name, reasons.JOB_NOT_CREATED.name)
    if find_reason(observed.status.conditions, ConditionType.RUNNING) in told:
        return _create_next_job(observed, status, spec, config, now, lost=True)
    status = transitions.mark_pending(status, reasons.REPORT_LOST, message, at)
    return _with_status(observed, status, Plan(requeue_after_seconds=STORED_REQUEUE_SECONDS))


def _follow_job(
    observed: ObservedState, status: Status, spec: Spec, config: Config, job: JobView, now: datetime
) -> Plan:
    """Update the status from a Job that exists."""
    if job.deleting and job.outcome is None:
        message = f"Job {job.name} is being deleted"
        status = transitions.mark_pending(status, reasons.JOB_LOST, message, format_time(now))
        return _with_status(observed, status, Plan(requeue_after_seconds=DELETION_REQUEUE_SECONDS))
    observed = dataclasses.replace(observed, no_node=explain_no_node(spec, config, job, observed.nodes))
    status = count_disruptions(status, observed.pods)
    status = _refer_to(status, with_evictions(job, status))
    lost = explain_lost_report(job, observed.pods)
    if lost is not None and may_look_again(job, observed.jobs):
        return _find_results(observed, status, spec, config, lost, now)
    if (pods := pods_to_scale(spec, job, observed)) is not None:
        return Plan(scale_job=(job, pods), events=(tell_scale(spec, job, pods),))
    if job.suspended and job.outcome is None:
        return _resume(observed, status, spec, job, now)
    resumed = None if job.resuming else job.started
    status = transitions.mark_resumed(status, resumed or format_time(now))
    grace = config.sidecar_grace_seconds
    concluded = conclude_job(spec, with_evictions(job, status), observed.pods, grace, now)
    concluded = conclude_evicted_job(spec, concluded, status, format_time(now))
    failure = _deadline_failure(observed, status, spec, concluded, now)
    if failure is not None:
        return _fail(observed, status, spec, failure, now, job)
    update = update_from_shards if job.has_shards else update_from_job
    status, poll_pods = update(_refer_to(status, concluded), spec, concluded, observed, format_time(now))
    status = with_refused_suspension(status, observed.rejection, now)
    status = transitions.with_finished_time(status, format_time(now))
    plan = Plan(
        poll_pods=poll_pods,
        requeue_after_seconds=seconds_until_next_look(observed, status, spec, concluded, grace, now),
    )
    if concluded.outcome is not None and job.outcome is None:
        plan = dataclasses.replace(plan, delete_jobs=(job,))
    else:
        plan = dataclasses.replace(plan, delete_pods=outlived_pods(job, observed.pods, grace, now))
    return _with_status(observed, status, plan)


def _deadline_failure(
    observed: ObservedState, status: Status, spec: Spec, job: JobView, now: datetime
) -> Failure | None:
    """The failure of a Job that goes on after one of the spec's deadlines, else None."""
    if job.outcome is None and job.phase != names.PHASE_COLLECT and is_over(status, spec, now):
        return explain_deadline(status, spec, job, last_termination(observed.pods))
    return pending_deadline_failure(observed, spec, job, now)


def _resume(observed: ObservedState, status: Status, spec: Spec, job: JobView, now: datetime) -> Plan:
    """Resume a Job that we have suspended. Any other suspension is ended by whoever made it, such as a queue."""
    if is_suspended_by_us(spec, job, observed.status):
        return Plan(suspend_job=(job, False))
    at = format_time(now) if status.start_time else job.created
    message = "; ".join(filter(None, (explain_suspension(spec, job), observed.queue_reason)))
    suspended = transitions.mark_suspended(status, reasons.WAITING_FOR_QUEUE, message, at)
    return _with_status(observed, suspended, Plan(requeue_after_seconds=_until_queue_is_asked(observed, job, now)))


def _until_queue_is_asked(observed: ObservedState, job: JobView, now: datetime) -> float | None:
    """The seconds until the words of whoever suspended the Job are read again, or the first of them are there."""
    if not waits_for_others(job):
        return None
    waited = seconds_between(job.suspended_since or job.created, now)
    first = observed.queue_reason is None and waited < MIN_QUEUE_REQUEUE_SECONDS
    return MIN_REQUEUE_SECONDS if first else queue_delay(waited)


def _refer_to(status: Status, job: JobView) -> Status:
    return transitions.with_job(status, _job_ref(job), job.created, attempt_number(job))


def _job_ref(job: JobView) -> JobRef:
    return JobRef(job.name, job.uid, job.ordinal, job.lost, job.phase)


def _with_status(observed: ObservedState, status: Status, plan: Plan) -> Plan:
    """Add the status and its events to the plan, if it differs from the stored one.

    It is brought within the limits of the schema first: a status that the apiserver refuses would be written for ever.
    """
    generation = observed.resource.generation
    conditions = with_observed_generation(status.conditions, generation)
    status = dataclasses.replace(status, observed_generation=generation, conditions=conditions)
    status = within_size(within_bounds(status) or status)
    if was_rejected(observed.status):
        if has_same_outcome(status, observed.status):
            return plan
        status = status if transitions.is_finished(observed.status) else without_rejection(status)
    if status == observed.status:
        return plan
    return dataclasses.replace(plan, status=status, events=events_between(observed.status, status))
