"""What a resource's next Job takes over from those before it.

A Job follows another one if that was suspended by being deleted, deleted from outside, or has ended without a report that
could be read. None of these is an attempt: attempts are worker pods that failed.
"""

from transcription_api import exit_codes, names
from transcription_api.status import JobRef, Status

from transcription_operator.models.objects import JobView, PodView
from transcription_operator.reconcile.pods import is_terminated

# Jobs that may be lost, one after the other. A Job that somebody deletes is followed by another one, but not for ever.
MAX_LOST_JOBS = 10
# Jobs without a report after which none is created to look for the results: then reports do not arrive at all.
MAX_LOST_REPORTS = 3


def next_ordinal(status: Status, jobs: tuple[JobView, ...]) -> int:
    """The number of the next Job, after the one that the status names and all that are known."""
    named = status.job_ref.ordinal if status.job_ref is not None else 0
    return max([named, *(job.ordinal for job in jobs)]) + 1


def next_counts(status: Status, lost: bool, phase: str | None = None) -> dict[str, int]:
    """The annotations of the next Job, of this phase. `lost` says that the one before it was lost, not suspended."""
    if status.job_ref is None:
        return {}
    if status.job_ref.phase != phase:
        return {names.ANNOTATION_FIRST_ATTEMPT: 1, names.ANNOTATION_LOST_JOBS: lost_before(status.job_ref, lost)}
    # The evictions of the whole resource are added to the attempts of whichever Job; see reconcile/disruptions.
    evicted = status.disruptions.evicted if status.disruptions is not None else 0
    return {
        names.ANNOTATION_FIRST_ATTEMPT: max((status.attempt or 1) - evicted, 1),
        names.ANNOTATION_LOST_JOBS: lost_before(status.job_ref, lost),
    }


def lost_before(job_ref: JobRef, lost: bool) -> int:
    """How many Jobs were lost, with the one that the status refers to if that was lost too."""
    return job_ref.lost + 1 if lost else job_ref.lost


def explain_lost_report(job: JobView, pods: tuple[PodView, ...]) -> str | None:
    """Why nobody can read the report of a complete Job, or None if its pod's termination message is there.

    The operator was down until somebody, or the garbage collector, had deleted the pod; or the container runtime or another
    container of the pod lost the message. The results may be whole, and the worker of another Job finds them in S3.
    """
    if job.outcome != "Complete" or job.has_shards:
        return None  # what became of shards is looked for in S3
    succeeded = [pod for pod in pods if is_terminated(pod) and _has_succeeded(pod)]
    if any(pod.terminated is not None and pod.terminated.message.strip() for pod in succeeded):
        return None
    why = f"the termination message of pod {succeeded[-1].name} is empty" if succeeded else "its pod is gone"
    return f"Job {job.name} is complete and its report is lost: {why}; the next Job looks for its results"


def may_look_again(job: JobView, jobs: tuple[JobView, ...]) -> bool:
    """Whether another Job may look for the results of this one, whose report is lost, as were those of some of `jobs`."""
    complete = sum(other.outcome == "Complete" and other.phase == job.phase for other in jobs)
    return complete < MAX_LOST_REPORTS and job.lost + 1 < MAX_LOST_JOBS


def _has_succeeded(pod: PodView) -> bool:
    return pod.phase == "Succeeded" or (pod.terminated is not None and pod.terminated.exit_code == exit_codes.OK)
