"""What a resource's next Job takes over from those before it.

A Job follows another one if that was suspended by being deleted, deleted from outside, or has ended without a report that
could be read. None of these is an attempt: attempts are worker pods that failed.
"""

from transcription_api import names
from transcription_api.status import JobRef, Status

# Jobs that may be lost, one after the other. A Job that somebody deletes is followed by another one, but not for ever.
MAX_LOST_JOBS = 10


def next_ordinal(status: Status) -> int:
    """The number of the next Job."""
    return status.job_ref.ordinal + 1 if status.job_ref is not None else 1


def next_counts(status: Status, lost: bool) -> dict[str, int]:
    """The annotations of the next Job. `lost` says that the one before it was lost, not suspended."""
    if status.job_ref is None:
        return {}
    # The evictions of the whole resource are added to the attempts of whichever Job; see reconcile/disruptions.
    evicted = status.disruptions.evicted if status.disruptions is not None else 0
    return {
        names.ANNOTATION_FIRST_ATTEMPT: max((status.attempt or 1) - evicted, 1),
        names.ANNOTATION_LOST_JOBS: lost_before(status.job_ref, lost),
    }


def lost_before(job_ref: JobRef, lost: bool) -> int:
    """How many Jobs were lost, with the one that the status refers to if that was lost too."""
    return job_ref.lost + 1 if lost else job_ref.lost
