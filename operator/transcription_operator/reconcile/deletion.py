"""What becomes of the results with spec.deletionPolicy DeleteResults: a Job deletes them, and no finalizer holds the resource.

The Job is created before the first one that may write a result, has no owner, and runs no pod until it is released by a
parallelism of 1. It is released when the resource does not exist any more, whoever deleted it and whether or not the operator
ran then; or when ttlSecondsAfterFinished is over, after which the resource is deleted once the Job has succeeded.
"""

import dataclasses
from datetime import datetime

from transcription_api import reasons
from transcription_api.reasons import Reason
from transcription_api.spec import DeletionPolicy, Spec
from transcription_api.status import ConditionType, Status

from transcription_operator.config import Config
from transcription_operator.manifests.deletion_job import render_deletion_job
from transcription_operator.models.objects import JobView, PodView
from transcription_operator.models.times import format_time
from transcription_operator.reconcile import status_transitions as transitions
from transcription_operator.reconcile.admission_policy import find_policy_violation
from transcription_operator.reconcile.events import Event
from transcription_operator.reconcile.observed_state import ObservedState
from transcription_operator.reconcile.plan import Plan
from transcription_operator.reconcile.pods import last_termination
from transcription_operator.reconcile.requeue import MAX_REQUEUE_SECONDS, STORED_REQUEUE_SECONDS

# Seconds until it is looked again whether pods that may write results have ended.
WRITERS_REQUEUE_SECONDS = 5.0
# Seconds until a Job that is being deleted, or that could not be created, is looked for again.
JOB_REQUEUE_SECONDS = 10.0
# The parallelism of a Job that deletes, which has 0 before.
RELEASED = 1
DELETED = "the results of the TranscriptionJob, which does not exist any more, are deleted"


def deletes_results(spec: Spec, config: Config) -> bool:
    """Whether results are to be deleted with the resource. One that the settings refuse has written none."""
    return spec.deletion_policy is DeletionPolicy.DELETE_RESULTS and find_policy_violation(spec, config) is None


def prepare_deletion(observed: ObservedState, spec: Spec, config: Config) -> Plan | None:
    """Create the Job that is to delete the results, or delete it where they are to be kept after all; else None."""
    job, wanted = observed.deletion_job, deletes_results(spec, config)
    if wanted and job is None and observed.rejection is None:
        return Plan(create_job=render_deletion_job(observed.resource, spec, config))
    if not wanted and job is not None and not job.deleting:
        return Plan(delete_jobs=(job,), requeue_after_seconds=STORED_REQUEUE_SECONDS)
    return None


def is_unprepared(observed: ObservedState, spec: Spec, config: Config) -> bool:
    """Whether the apiserver refused to create the Job that is to delete the results."""
    return observed.rejection is not None and deletes_results(spec, config) and observed.deletion_job is None


def tell_preparation(observed: ObservedState, status: Status, spec: Spec, config: Config, now: datetime) -> Status:
    """The status with the words of the apiserver, if results would stay that are to be deleted."""
    if observed.rejection is not None and is_unprepared(observed, spec, config):
        return _not_deleted(status, observed.rejection.message, format_time(now))
    kept = tuple(item for item in status.conditions if item.type != ConditionType.RESULTS_DELETED.value)
    return status if len(kept) == len(status.conditions) else dataclasses.replace(status, conditions=kept)


def delete_results(observed: ObservedState, status: Status, now: datetime) -> tuple[Status, Plan]:
    """Delete the results of a finished resource, and then the resource. A failure is told, and the resource stays."""
    job, at = observed.deletion_job, format_time(now)
    if observed.rejection is not None:
        return _not_deleted(status, observed.rejection.message, at), Plan(requeue_after_seconds=MAX_REQUEUE_SECONDS)
    if any(other.outcome is None or other.deleting for other in observed.jobs) or job is None or job.deleting:
        return status, Plan(requeue_after_seconds=JOB_REQUEUE_SECONDS)
    if job.parallelism == 0:
        return status, Plan(scale_job=(job, RELEASED))
    if job.outcome == "Complete":
        return status, Plan(delete_resource=True)
    if job.outcome == "Failed":
        return _not_deleted(status, explain_failure(job, observed.deletion_pods), at), Plan()
    message = f"Job {job.name} deletes the results" + ("; it is suspended by somebody else" if job.suspended else "")
    return _with_condition(status, reasons.DELETING_RESULTS, message, at), Plan()


def explain_failure(job: JobView, pods: tuple[PodView, ...]) -> str:
    """What a person has to know of a Job that could not delete all results."""
    termination = last_termination(pods)
    if termination is not None and termination.failure is not None:
        failure = termination.failure
        return f"Job {job.name}: {failure.reason}: {failure.message}"
    return f"Job {job.name}: {job.outcome_reason}: {job.outcome_message}"


def _not_deleted(status: Status, message: str, at: str) -> Status:
    return _with_condition(status, reasons.RESULTS_NOT_DELETED, message, at)


def _with_condition(status: Status, reason: Reason, message: str, at: str) -> Status:
    return transitions.with_condition(status, ConditionType.RESULTS_DELETED, False, reason, message, at)


def not_deleted(message: str) -> Event:
    """The event of a Job that has left results."""
    return Event("Warning", reasons.RESULTS_NOT_DELETED.name, message)


def after_the_resource(job: JobView, others: tuple[JobView, ...], writers: bool, pods: tuple[PodView, ...]) -> Plan:
    """What to do with the Job of a resource that does not exist any more.

    `others` are Jobs of the resource that are still there, and `writers` says whether any of their pods has not ended: what
    they write after the results were looked for would stay. `pods` are the Job's own, once it has failed.
    """
    if job.deleting:
        return Plan()
    if job.outcome == "Complete":
        return Plan(events=(Event("Normal", reasons.RESULTS_DELETED.name, DELETED),), delete_jobs=(job,))
    if job.outcome == "Failed":
        return Plan(events=(not_deleted(explain_failure(job, pods)),))
    if job.parallelism > 0:
        return Plan()
    if writers or any(other.outcome is None for other in others):
        return Plan(requeue_after_seconds=WRITERS_REQUEUE_SECONDS)
    return Plan(scale_job=(job, RELEASED))
