"""The attempts of one Job, from its pods: which runs, which waits for what, how the last one ended."""

from dataclasses import dataclass

from transcription_api import reasons
from transcription_api.reasons import Reason

from transcription_operator.models.objects import JobView, PodView
from transcription_operator.reconcile.termination import End, explain_end

# Waiting reasons of the kubelet that stand for an image that does not come.
IMAGE_REASONS = (
    "ErrImagePull",
    "ImagePullBackOff",
    "InvalidImageName",
    "ErrImageNeverPull",
    "ImageInspectError",
    "RegistryUnavailable",
    "SignatureValidationFailed",
)
# The kubelet's pause between two pulls: its words hide why the pull failed.
BACK_OFF = "ImagePullBackOff"
# Waiting reasons that are no trouble.
STARTING_REASONS = (None, "ContainerCreating", "PodInitializing")


@dataclass(frozen=True)
class Waiting:
    """Why no worker runs."""

    reason: Reason
    message: str


def attempt_number(job: JobView) -> int:
    """From 1: Jobs before this one, and pods of this one that failed before the attempt. A failed Job's is its last."""
    failed = job.failed - 1 if job.outcome == "Failed" and job.failed else job.failed
    return job.ordinal + failed


def running_pod(pods: tuple[PodView, ...]) -> PodView | None:
    return next((pod for pod in reversed(pods) if pod.running), None)


def newest_end(pods: tuple[PodView, ...]) -> End | None:
    """How the pod that ended last did."""
    ended = [pod for pod in pods if has_ended(pod)]
    return explain_end(ended[-1]) if ended else None


def has_ended(pod: PodView) -> bool:
    return pod.terminated is not None or pod.phase in ("Succeeded", "Failed")


def first_start(pods: tuple[PodView, ...]) -> str | None:
    return min((pod.started for pod in pods if pod.started), default=None)


def describe_wait(job: JobView, pods: tuple[PodView, ...]) -> Waiting:
    """What the newest pod waits for."""
    pod = pods[-1] if pods and not has_ended(pods[-1]) else None
    if pod is None:
        return Waiting(reasons.WAITING_FOR_POD, f"Job {job.name} has no pod yet")
    if pod.unschedulable is not None:
        return Waiting(reasons.UNSCHEDULABLE, pod.unschedulable)
    if pod.waiting_reason in IMAGE_REASONS:
        return Waiting(reasons.IMAGE_PULL_FAILED, f"{pod.waiting_reason}: {pod.waiting_message or ''}")
    if pod.waiting_reason not in STARTING_REASONS:
        return Waiting(reasons.CONTAINER_NOT_STARTED, f"{pod.waiting_reason}: {pod.waiting_message or ''}")
    return Waiting(reasons.WAITING_FOR_POD, f"pod {pod.name} has not started yet")


def pending_since(job: JobView, pods: tuple[PodView, ...]) -> str | None:
    """Since when a pod waits to be started; None while one runs, between two pods, and for a suspended Job."""
    if job.suspended or job.started is None or running_pod(pods) is not None:
        return None
    if not pods:
        return job.started
    return None if has_ended(pods[-1]) else max(job.started, pods[-1].created)
