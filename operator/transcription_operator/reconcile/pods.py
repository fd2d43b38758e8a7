"""The pods of one Job: which one runs, what the newest one waits for, and how the last one terminated."""

from dataclasses import dataclass

from transcription_api import exit_codes, reasons
from transcription_api.reasons import Reason
from transcription_api.spec import Spec

from transcription_operator.models.containers import InitContainer
from transcription_operator.models.objects import JobView, PodView
from transcription_operator.models.times import earliest, seconds_between
from transcription_operator.reconcile.results import missing_results
from transcription_operator.reconcile.termination import Termination, explain_termination, read_report

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


# The node controller's reason for a pod whose node does not answer.
UNREACHABLE_NODE = "NodeLost"
# Seconds after the time by which a pod that is being deleted had to end. A kubelet that answers has confirmed its end by then.
CONFIRMATION_SECONDS = 60.0


@dataclass(frozen=True)
class Waiting:
    """Why no worker runs: reason and message of the condition Running=False."""

    reason: Reason
    message: str


def attempt_number(job: JobView) -> int:
    """The number of the attempt, from 1: pods that failed count, of this Job and of earlier ones. A failed Job's is its last.

    Each shard of many files has attempts of its own, which are not told.
    """
    if job.has_shards:
        return 1
    failed = job.failed - 1 if job.outcome == "Failed" and job.failed else job.failed
    return job.first_attempt + failed


def current_pod(pods: tuple[PodView, ...]) -> PodView | None:
    """The newest pod that has not ended, or None. One that is being deleted only if there is no other.

    A Job controller that starts anew may make a second pod, and later deletes one of the two. Until then the pod counts whose
    worker runs: it may complete the Job, and what the other one waits for holds nothing up.
    """
    alive = [pod for pod in pods if not is_terminated(pod)]
    staying = [pod for pod in alive if pod.deletion_time is None]
    running = [pod for pod in staying if pod.running and not _is_on_lost_node(pod)]
    return next(reversed(running or staying or alive), None)


def running_pod(pods: tuple[PodView, ...]) -> PodView | None:
    """The current pod if its worker runs, else None."""
    pod = current_pod(pods)
    return pod if pod is not None and pod.running else None


def running_pods(pods: tuple[PodView, ...]) -> tuple[PodView, ...]:
    """The pods whose workers run, of a Job that has many at a time."""
    return tuple(pod for pod in pods if pod.running and not is_terminated(pod) and not _is_on_lost_node(pod))


def last_termination(pods: tuple[PodView, ...]) -> Termination | None:
    """How the newest terminated pod ended, or None if none has terminated."""
    terminated = [pod for pod in pods if is_terminated(pod)]
    return explain_termination(terminated[-1]) if terminated else None


def lost_pod(pods: tuple[PodView, ...], now: str) -> PodView | None:
    """The pod that keeps the Job from going on since its node does not answer, or None."""
    pod = current_pod(pods)
    if pod is not None and not _is_lost(pod, now):
        return None
    return next((pod for pod in reversed(pods) if _is_lost(pod, now)), None)


def _is_lost(pod: PodView, now: str) -> bool:
    if pod.phase in ("Succeeded", "Failed"):
        return False
    if _is_on_lost_node(pod):
        return True
    return pod.deletion_time is not None and seconds_between(pod.deletion_time, now) >= CONFIRMATION_SECONDS


def _is_on_lost_node(pod: PodView) -> bool:
    return pod.phase == "Unknown" or pod.reason == UNREACHABLE_NODE


def has_whole_result(spec: Spec, pod: PodView, phase: str | None) -> bool:
    """Whether the pod's worker ended with a report that has all that is asked of a Job of this phase."""
    if pod.terminated is None or pod.terminated.exit_code != exit_codes.OK:
        return False
    report = read_report(pod.terminated)
    return report is not None and report.reason is None and not missing_results(spec, report, phase)


def proven_termination(spec: Spec, job: JobView, pods: tuple[PodView, ...]) -> Termination | None:
    """How the pod with a whole result ended. Without one, how the newest terminated pod did."""
    whole = next((pod for pod in pods if has_whole_result(spec, pod, job.phase)), None)
    return explain_termination(whole) if whole is not None else last_termination(pods)


def is_terminated(pod: PodView) -> bool:
    """Whether the pod has ended, successfully or not."""
    return pod.terminated is not None or pod.phase in ("Succeeded", "Failed")


def first_start(pods: tuple[PodView, ...]) -> str | None:
    """When the first worker started, or None if none has."""
    starts = [pod.started for pod in pods if pod.started]
    return earliest(*starts) if starts else None


def explain_waiting(job: JobView, pods: tuple[PodView, ...], no_node: str | None = None) -> Waiting:
    """What the current pod waits for: to be created, scheduled, given its image, or started.

    `no_node` says which labels of the nodes keep the Job's pods from running, where that is known.
    """
    pod = current_pod(pods)
    if pod is None:
        return Waiting(reasons.WAITING_FOR_POD, _explain_no_pod(job))
    if pod.deletion_time is not None:
        return Waiting(reasons.WAITING_FOR_POD, f"pod {pod.name} is being deleted: {pod.disrupted or 'by somebody'}")
    if pod.init_container is not None:
        return _explain_init_container(pod.name, pod.init_container)
    if pod.scheduling_gates:
        gates = f"gate{'s' if len(pod.scheduling_gates) > 1 else ''} {', '.join(pod.scheduling_gates)}"
        return Waiting(reasons.WAITING_FOR_POD, f"pod {pod.name} is held by the scheduling {gates}")
    if pod.missing_claim is not None and pod.node is None and pod.unschedulable is None:
        words = f"pod {pod.name} waits for its claim of the ResourceClaimTemplate {pod.missing_claim}, which must exist"
        return Waiting(reasons.WAITING_FOR_POD, words)
    if pod.unschedulable is not None and no_node is not None:
        return Waiting(reasons.NO_MATCHING_NODE, f"{no_node}; the scheduler says: {pod.unschedulable}")
    if pod.unschedulable is not None:
        return Waiting(reasons.UNSCHEDULABLE, pod.unschedulable)
    if pod.waiting_reason in STARTING_REASONS:
        return Waiting(reasons.WAITING_FOR_POD, f"pod {pod.name} has not started yet")
    return _explain_reason(pod.waiting_reason, f"{pod.waiting_reason}: {pod.waiting_message or ''}")


def _explain_no_pod(job: JobView) -> str:
    if job.terminating:
        return f"a pod of Job {job.name} is being deleted; the next one comes after its end"
    if job.parallelism == 0:
        return f"Job {job.name} has parallelism 0, which somebody has set: it makes no pod until it has 1 again"
    return f"Job {job.name} has no pod yet"


def _explain_init_container(pod_name: str, container: InitContainer) -> Waiting:
    subject = f"pod {pod_name} has not started its worker: init container {container.name}"
    if container.waiting_reason in STARTING_REASONS:
        state = "runs" if container.waiting_reason is None else "has not started"
        return Waiting(reasons.WAITING_FOR_POD, f"{subject} {state}")
    return _explain_reason(
        container.waiting_reason, f"{subject}: {container.waiting_reason}: {container.waiting_message or ''}"
    )


def _explain_reason(waiting_reason: str | None, message: str) -> Waiting:
    is_image = waiting_reason in IMAGE_REASONS
    return Waiting(reasons.IMAGE_PULL_FAILED if is_image else reasons.CONTAINER_NOT_STARTED, message)
