"""How many pods of a Job with shards may run at a time, which spec.parallelism says and may say anew while they run."""

from transcription_api import reasons
from transcription_api.spec import Spec

from transcription_operator.manifests.job import desired_parallelism
from transcription_operator.models.objects import JobView
from transcription_operator.reconcile.observed_state import ObservedState
from transcription_operator.reconcile.suspension import is_suspended_by_us


def pods_to_scale(spec: Spec, job: JobView, observed: ObservedState) -> int | None:
    """The number of pods that the Job is to be given, or None if it has that, or may not be changed.

    A Job that the operator has suspended is resumed first: the apiserver's answer to one of the changes must not be taken
    for the answer to the other.
    """
    if not job.has_shards or job.outcome is not None or observed.rejection is not None:
        return None
    pods = desired_parallelism(spec, job.completions)
    return None if job.parallelism == pods or is_suspended_by_us(spec, job, observed.status) else pods


def is_refused_scale(spec: Spec, job: JobView, observed: ObservedState) -> bool:
    """Whether the apiserver refused to change the number of pods, with which the Job goes on."""
    refused = observed.rejection is not None and observed.rejection.reason is reasons.JOB_NOT_UPDATED
    return refused and job.has_shards and not is_suspended_by_us(spec, job, observed.status)
