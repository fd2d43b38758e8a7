"""The end of a worker whose Job does not tell of it: another container keeps the pod alive, or made it fail.

A service mesh may inject a container that never ends, and the pod would hold its GPU for ever. What the worker itself did
counts, so the Job is taken as finished, and deleted once the status says so.
"""

import dataclasses
from datetime import datetime

from transcription_api.spec import Spec

from transcription_operator.models.objects import JobView, PodView
from transcription_operator.models.times import seconds_between
from transcription_operator.reconcile.pods import has_whole_result
from transcription_operator.reconcile.termination import explain_termination


def conclude_job(spec: Spec, job: JobView, pods: tuple[PodView, ...], grace: float, now: datetime) -> JobView:
    """The Job with the outcome that its workers' ends lead to, or unchanged if its own outcome is right or still to come.

    `grace` is the time in seconds that the other containers of a pod have to end after the worker.
    """
    if job.has_shards:
        return job  # the end of one pod tells nothing of the others
    whole = next((pod for pod in pods if has_whole_result(spec, pod, job.phase)), None)
    if whole is not None and job.outcome != "Complete" and (job.outcome == "Failed" or _is_due(whole, grace, now)):
        return _concluded(job, "Complete", whole)
    pod = pods[-1] if pods and job.outcome is None else None
    if pod is None or not pod.outlived or grace_left(pod, grace, now) > 0:
        return job
    termination = explain_termination(pod)
    if termination.failure is None:
        return _concluded(job, "Complete", pod)
    if pod.deletion_time is not None or pod.disrupted is not None:
        return job  # the kubelet ends the pod, and the Job's policy says whether it counts
    if termination.permanent or job.failed >= spec.retries:
        return _concluded(dataclasses.replace(job, failed=job.failed + 1), "Failed", pod)
    return job


def outlived_pods(job: JobView, pods: tuple[PodView, ...], grace: float, now: datetime) -> tuple[PodView, ...]:
    """The pods that must be deleted so that the Job counts their workers' ends and makes the next pods."""
    if job.outcome is not None:
        return ()
    candidates = pods if job.has_shards else pods[-1:]
    return tuple(
        pod for pod in candidates if pod.outlived and pod.deletion_time is None and grace_left(pod, grace, now) <= 0
    )


def grace_left(pod: PodView, grace: float, now: datetime) -> float:
    """The seconds that a pod still has to end by itself after its worker, of `grace` seconds; 0 or less once they have passed."""
    finished = pod.terminated.finished if pod.terminated is not None else None
    return grace - seconds_between(finished, now) if finished is not None else 0.0


def _is_due(pod: PodView, grace: float, now: datetime) -> bool:
    """Whether the Job will not complete by this pod: it failed for another container, or has had its time to end."""
    return pod.phase == "Failed" or (pod.outlived and grace_left(pod, grace, now) <= 0)


def _concluded(job: JobView, outcome: str, pod: PodView) -> JobView:
    finished = pod.terminated.finished if pod.terminated is not None else None
    return dataclasses.replace(job, outcome=outcome, outcome_time=job.outcome_time or finished)
