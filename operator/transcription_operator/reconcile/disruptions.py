"""Count the worker pods that ended for their node's sake: a drain, a preemption, a lost node, or a shortage on the node.

The Job's podFailurePolicy ignores all of them, since it cannot tell a pod that used up the node's memory from one that was in
the way of others: it knows the type of a condition and not its message. So evictions for the pod's own use are counted here,
as attempts. Counts are in the status, as pods that are deleted leave nothing to count.
"""

import dataclasses

from transcription_api.spec import Spec
from transcription_api.status import DisruptionCounts, Status

from transcription_operator.models.objects import JobView, PodView
from transcription_operator.reconcile.termination import is_evicted_for_its_use

# Disruptions from which on the status tells of them and a warning is recorded, and again with each further such number.
MANY_DISRUPTIONS = 5


def count_disruptions(status: Status, pods: tuple[PodView, ...]) -> Status:
    """Add the pods that have not been counted: those that are newer than the newest that has been."""
    counts = status.disruptions or DisruptionCounts()
    last = counts.last_pod_created
    new = [pod for pod in pods if _is_disrupted(pod) and (last is None or pod.created > last)]
    if not new:
        return status
    evicted = sum(is_evicted_for_its_use(pod) for pod in new)
    counts = DisruptionCounts(
        counts.disrupted + len(new) - evicted, counts.evicted + evicted, max(pod.created for pod in new)
    )
    return dataclasses.replace(status, disruptions=counts)


def with_evictions(job: JobView, status: Status) -> JobView:
    """The Job with the evictions among its failed pods, as they count for status.attempt and spec.retries."""
    evicted = status.disruptions.evicted if status.disruptions is not None else 0
    return dataclasses.replace(job, failed=job.failed + evicted) if evicted else job


def conclude_evicted_job(spec: Spec, job: JobView, status: Status, now: str) -> JobView:
    """The Job as failed if evictions have used up its attempts: it would make pod after pod. Otherwise unchanged."""
    evicted = status.disruptions.evicted if status.disruptions is not None else 0
    if job.outcome is not None or not evicted or not _are_used_up(spec, job, evicted):
        return job
    return dataclasses.replace(job, outcome="Failed", outcome_time=now)


def _are_used_up(spec: Spec, job: JobView, evicted: int) -> bool:
    """Whether no attempt is left. Evictions are not counted by shard: of many, all attempts together are the limit."""
    return evicted > spec.retries * job.completions if job.has_shards else job.failed > spec.retries


def tell_disruptions(status: Status) -> list[str]:
    """The number of disruptions in words if there are many, for the message of a condition."""
    disrupted = status.disruptions.disrupted if status.disruptions is not None else 0
    return [f"{disrupted} pods were disrupted before, and each began anew"] if disrupted >= MANY_DISRUPTIONS else []


def _is_disrupted(pod: PodView) -> bool:
    """Whether the pod is ended for its node's sake. The condition alone may be taken back."""
    return pod.disrupted is not None and (pod.deletion_time is not None or pod.phase == "Failed")
