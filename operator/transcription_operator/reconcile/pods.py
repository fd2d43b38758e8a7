"""The pods of one Job: which one runs, what the newest one waits for, and how the last one terminated."""

from dataclasses import dataclass

from transcription_api import reasons
from transcription_api.reasons import Reason

from transcription_operator.models.objects import JobView, PodView
from transcription_operator.reconcile.termination import Termination, explain_termination

# Waiting reasons of the kubelet for an image that cannot be pulled.
IMAGE_REASONS = (
    "ErrImagePull",
    "ImagePullBackOff",
    "InvalidImageName",
    "ErrImageNeverPull",
    "ImageInspectError",
    "RegistryUnavailable",
    "SignatureValidationFailed",
)
# The kubelet's reason between two pulls. Its message does not say why the pull failed.
BACK_OFF = "ImagePullBackOff"
# Waiting reasons of a container that is starting normally.
STARTING_REASONS = (None, "ContainerCreating", "PodInitializing")


@dataclass(frozen=True)
class Waiting:
    """Why no worker runs: reason and message of the condition Running=False."""

    reason: Reason
    message: str


def attempt_number(job: JobView) -> int:
    """The number of the attempt, from 1: earlier Jobs and failed pods of this Job count. A failed Job's is its last."""
    failed = job.failed - 1 if job.outcome == "Failed" and job.failed else job.failed
    return job.ordinal + failed


def running_pod(pods: tuple[PodView, ...]) -> PodView | None:
    """The newest pod whose worker runs, or None."""
    return next((pod for pod in reversed(pods) if pod.running), None)


def last_termination(pods: tuple[PodView, ...]) -> Termination | None:
    """How the newest terminated pod ended, or None if none has terminated."""
    terminated = [pod for pod in pods if is_terminated(pod)]
    return explain_termination(terminated[-1]) if terminated else None


def is_terminated(pod: PodView) -> bool:
    """Whether the pod has ended, successfully or not."""
    return pod.terminated is not None or pod.phase in ("Succeeded", "Failed")


def first_start(pods: tuple[PodView, ...]) -> str | None:
    """When the first worker started, or None if none has."""
    return min((pod.started for pod in pods if pod.started), default=None)


def explain_waiting(job: JobView, pods: tuple[PodView, ...]) -> Waiting:
    """What the newest pod waits for: to be created, scheduled, given its image, or started."""
    pod = pods[-1] if pods and not is_terminated(pods[-1]) else None
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
    """The time since which a pod has been waiting to start.

    None while a pod runs, between two pods, and for a suspended Job.
    """
    if job.suspended or job.started is None or running_pod(pods) is not None:
        return None
    if not pods:
        return job.started
    return None if is_terminated(pods[-1]) else max(job.started, pods[-1].created)
