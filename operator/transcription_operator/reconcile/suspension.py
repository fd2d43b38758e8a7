"""Whose a Job's suspension is: ours, by the spec, or that of somebody else, such as Kueue or an administrator.

Kueue suspends Jobs that it manages when they are created and when it evicts them, and resumes those that it has admitted. It
may manage a Job that names no queue in its spec: where a namespace has a default LocalQueue, or with manageJobsWithoutQueueName.
So a suspension is ours only if the Job carries the mark that is written with it.
"""

from transcription_api import reasons
from transcription_api.spec import Spec
from transcription_api.status import ConditionType, Status

from transcription_operator.models.objects import JobView
from transcription_operator.reconcile.conditions import is_true

# Reasons of Suspended=True that stand for a suspension by the operator.
_OWN_REASONS = (reasons.SUSPENDED_BY_SPEC, reasons.JOB_NOT_UPDATED)


def is_suspended_by_us(spec: Spec, job: JobView, stored: Status) -> bool:
    """Whether the operator has suspended the Job. An earlier version left no mark, and a queue's Jobs as they were."""
    if job.suspended_by_spec:
        return job.suspended
    queued = spec.queue_name is not None or job.queue is not None
    # With JobNotUpdated the operator has tried to end its suspension, in vain.
    told = any(is_true(stored.conditions, ConditionType.SUSPENDED, reason) for reason in _OWN_REASONS)
    return job.suspended and not queued and told


def is_managed_by_others(spec: Spec, job: JobView, stored: Status) -> bool:
    """Whether somebody else suspends and resumes the Job, who would resume it against spec.suspend.

    A queue is named, somebody else has suspended it, or somebody has resumed it after we had suspended it.
    """
    if spec.queue_name is not None or job.queue is not None:
        return True
    return not is_suspended_by_us(spec, job, stored) if job.suspended else job.suspended_by_spec


def waits_for_others(job: JobView) -> bool:
    """Whether a Job is suspended by somebody else, such as Kueue, whose words on it are worth a request."""
    return job.suspended and not job.suspended_by_spec and job.outcome is None


def explain_suspension(spec: Spec, job: JobView) -> str:
    """What a Job waits for that somebody else has suspended."""
    queue = spec.queue_name or job.queue
    if queue is not None:
        return f"Job {job.name} waits in queue {queue}"
    return f"Job {job.name} is suspended by somebody else, such as a queue or an administrator, and waits to be resumed"
