"""How many pods of a Job with shards may run at a time, which spec.parallelism says and may say anew while they run."""

from transcription_api import reasons
from transcription_api.spec import Spec

from transcription_operator.manifests.job import desired_parallelism
from transcription_operator.models.objects import JobView
from transcription_operator.reconcile.events import Event
from transcription_operator.reconcile.observed_state import ObservedState
from transcription_operator.reconcile.suspension import is_suspended_by_us


def pods_to_scale(spec: Spec, job: JobView, observed: ObservedState) -> int | None:
    """The number of pods that the Job is to be given, or None if it has that, or may not be changed.

    A Job that is or was in somebody else's hands, as Kueue's, is changed only where the spec asks for another number than the
    operator gave it: Kueue lowers the number where its quota has room for some of the pods, and restores it itself.

    A Job that the operator has suspended is resumed first: the apiserver's answer to one of the changes must not be taken
    for the answer to the other.
    """
    if not job.has_shards or job.outcome is not None or observed.rejection is not None:
        return None
    pods = desired_parallelism(spec, job.completions)
    shared = spec.queue_name is not None or job.queue is not None or job.was_suspended
    has = job.given_parallelism if shared else job.parallelism
    return None if has == pods or is_suspended_by_us(spec, job, observed.status) else pods


def tell_scale(spec: Spec, job: JobView, pods: int) -> Event:
    """The event of a change of the number of pods."""
    limit = f": there are {job.completions} shards" if spec.parallelism > job.completions else ""
    message = f"Job {job.name} runs {pods} pods at a time from now on, and not {job.parallelism}"
    return Event("Normal", reasons.SCALED.name, f"{message}; spec.parallelism is {spec.parallelism}{limit}")


def is_refused_scale(spec: Spec, job: JobView, observed: ObservedState) -> bool:
    """Whether the apiserver refused to change the number of pods, with which the Job goes on."""
    refused = observed.rejection is not None and observed.rejection.reason is reasons.JOB_NOT_UPDATED
    return refused and job.has_shards and not is_suspended_by_us(spec, job, observed.status)
