"""Why a worker's pod terminated: the worker's own report if there is one, otherwise what the kubelet says."""

import dataclasses
import functools
from dataclasses import dataclass

from transcription_api import exit_codes, reasons
from transcription_api.reasons import Reason
from transcription_api.report import Report, parse_report
from transcription_api.status import Failure

from transcription_operator.models.objects import PodView, TerminatedState
from transcription_operator.reconcile.conditions import MESSAGE_LIMIT, truncate_message

# The kubelet's reason for a container that the kernel killed because its memory limit was reached.
OOM_KILLED = "OOMKilled"
# The kubelet's reason for a container that it no longer finds. The exit code is KILLED, whatever became of the container.
STATUS_UNKNOWN = "ContainerStatusUnknown"
# Exit code of a process that was ended with SIGKILL, 128 and the signal's number.
KILLED = 137
# The kubelet's reason for a pod that it evicted because the node or the pod ran short of a resource.
EVICTED = "Evicted"
# Exit codes of a worker whose GPU is at fault: what somebody has to look at is the node.
OF_THE_NODE = (exit_codes.DEVICE_UNUSABLE, exit_codes.DEVICE_FAULT)
# In the kubelet's message for each container, or pod, that used more of the resource than it had requested.
OVERUSE = "has larger consumption of"
# In the kubelet's messages for a node or a pod whose disk was full. Its numbers leave out volumes, and so the worker's scratch
# space: that it names no overuse proves nothing.
DISK_WORDS = ("ephemeral", "disk", "storage", "emptydir")


@dataclass(frozen=True)
class Termination:
    """How a pod terminated: the report if it left one, and the failure unless it succeeded.

    A permanent failure is not retried.
    """

    report: Report | None
    failure: Failure | None
    permanent: bool = False
    finished: str | None = None  # RFC 3339, UTC


def explain_termination(pod: PodView) -> Termination:
    """Read the report, exit code and status of a pod that is no longer running."""
    report = read_report(pod.terminated)
    if pod.terminated is not None and pod.terminated.exit_code == exit_codes.OK and _is_success(pod, report):
        return Termination(report, None, finished=pod.terminated.finished)
    code = pod.terminated.exit_code if pod.terminated is not None else None
    finished = pod.terminated.finished if pod.terminated is not None else None
    permanent = code in exit_codes.PERMANENT and pod.disrupted is None
    interrupted = report is not None and report.reason == reasons.INTERRUPTED.name and pod.disrupted is not None
    if report is not None and report.reason is not None and not interrupted:
        failure = _reported_failure(report, code)
    else:
        failure = make_failure(*_kubelet_explanation(pod), code)
    return Termination(report, _with_cause(failure, pod), permanent, finished)


def _with_cause(failure: Failure, pod: PodView) -> Failure:
    """Add what the worker does not know of its GPU: what the kubelet says of its health, and the node where it failed."""
    told = [pod.sick_devices] if pod.sick_devices is not None else []
    told += [f"on node {pod.node}"] if failure.exit_code in OF_THE_NODE and pod.node is not None else []
    if not told:
        return failure
    cause = "; ".join(("", *told))
    return dataclasses.replace(failure, message=f"{failure.message[: MESSAGE_LIMIT - len(cause)]}{cause}")


def _is_success(pod: PodView, report: Report | None) -> bool:
    """Whether a worker that ended with exit code 0 succeeded. A report proves it, whatever became of its pod after that."""
    return pod.phase != "Failed" or (report is not None and report.reason is None)


def is_evicted_for_its_use(pod: PodView) -> bool:
    """Whether the kubelet evicted the pod for a shortage on the node of what it had used more of than it had requested."""
    message = pod.message or ""
    return pod.reason == EVICTED and pod.disrupted is not None and (OVERUSE in message or _names_disk(message))


def _names_disk(message: str) -> bool:
    return any(word in message.lower() for word in DISK_WORDS)


# One reconcile asks two or three times; as many as queue workers can have at hand.
_parse_report = functools.lru_cache(maxsize=64)(parse_report)


def read_report(terminated: TerminatedState | None) -> Report | None:
    """Parse the termination message. None if it holds no report, or one that this version cannot read."""
    return None if terminated is None else _parse_report(terminated.message)


def make_failure(reason: Reason, message: str, exit_code: int | None = None) -> Failure:
    """A failure with the advice that belongs to its reason."""
    return Failure(reason.name, truncate_message(message), reason.advice, exit_code)


def _reported_failure(report: Report, exit_code: int | None) -> Failure:
    """The failure with the report's reason, even if only a newer version knows that reason."""
    name = report.reason or ""
    known = reasons.BY_NAME.get(name)
    return Failure(name, truncate_message(report.message or name), known.advice if known else "", exit_code)


def _kubelet_explanation(pod: PodView) -> tuple[Reason, str]:
    message = (pod.message or "").strip()
    if pod.terminated is not None and pod.terminated.reason == OOM_KILLED:
        return reasons.OUT_OF_MEMORY, f"pod {pod.name} was killed: its memory limit was reached"
    if pod.reason == EVICTED and _names_disk(message):
        return reasons.NO_SPACE_LEFT, f"pod {pod.name} was evicted: {message}"
    if pod.reason == EVICTED and "memory" in message and (pod.disrupted is None or OVERUSE in message):
        return reasons.OUT_OF_MEMORY, f"pod {pod.name} was evicted: {message}"
    if pod.disrupted is not None:
        return reasons.INTERRUPTED, f"pod {pod.name} was disrupted: {pod.disrupted}"
    if pod.reason not in (None, EVICTED) and pod.started is None and pod.terminated is None and not pod.failed_sidecars:
        return reasons.POD_REJECTED, f"node {pod.node} rejected pod {pod.name}: {pod.reason}: {message}"
    return reasons.WORKER_FAILED, _without_report(pod, message)


def _explain_kill(pod: PodView, terminated: TerminatedState) -> list[str]:
    if terminated.exit_code != KILLED:
        return []
    if terminated.reason == STATUS_UNKNOWN:
        return [f"node {pod.node} lost the container, as it does when it restarts"]
    return ["killed by SIGKILL: the node ran out of memory, or the pod did not end in time when it was told to"]


def _without_report(pod: PodView, message: str) -> str:
    parts = [f"pod {pod.name} ended without a report"]
    if pod.terminated is not None:
        parts.append(f"exit code {pod.terminated.exit_code} ({pod.terminated.reason or 'no reason given'})")
        parts += _explain_kill(pod, pod.terminated)
    parts += pod.failed_sidecars
    if pod.reason or message:
        parts.append(f"{pod.reason or pod.phase}: {message}")
    return "; ".join(parts)
