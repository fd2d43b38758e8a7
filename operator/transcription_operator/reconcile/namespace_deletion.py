"""When a Job holds up the deletion of its namespace.

A namespace that is deleted loses its pods first and all else when they are gone. The controller of a Job with
backoffLimitPerIndex keeps the last failed pod of an index until the next pod of that index is created, which an ending
namespace refuses: neither would ever go on (Kubernetes 1.37, getPodsWithDelayedDeletionPerIndex and
OrderedNamespaceDeletion). Without the Job its pods are let go.
"""

from collections.abc import Sequence

from transcription_operator.models.objects import JobView, PodView


def are_held_back(job: JobView, pods: Sequence[PodView]) -> bool:
    """Whether all that is left of a Job's pods has failed and is being deleted: so it also is before each retry of a pod
    that somebody deleted.
    """
    ended = all(pod.phase == "Failed" and pod.deletion_time is not None for pod in pods)
    return job.has_shards and job.outcome is None and not job.active and bool(pods) and ended
