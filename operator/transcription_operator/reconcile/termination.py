"""Why a worker's pod ended: its own report first, then what the kubelet says of it."""

from dataclasses import dataclass

from transcription_api import exit_codes, reasons
from transcription_api.codec import InvalidFieldError
from transcription_api.reasons import Reason
from transcription_api.report import Report, parse_report
from transcription_api.status import Failure

from transcription_operator.models.objects import PodView, Terminated
from transcription_operator.reconcile.conditions import shortened

# The kubelet's word for a container that the kernel killed for memory.
OOM_KILLED = "OOMKilled"
EVICTED = "Evicted"


@dataclass(frozen=True)
class End:
    """A finished pod: its report where it left one, and its failure unless it succeeded."""

    report: Report | None
    failure: Failure | None
    permanent: bool = False
    finished: str | None = None


def explain_end(pod: PodView) -> End:
    """What a pod that is not running any more says."""
    report = read_report(pod.terminated)
    if pod.terminated is not None and pod.terminated.exit_code == exit_codes.OK and pod.reason is None:
        return End(report, None, finished=pod.terminated.finished)
    code = pod.terminated.exit_code if pod.terminated is not None else None
    finished = pod.terminated.finished if pod.terminated is not None else None
    permanent = code in exit_codes.PERMANENT and pod.disrupted is None
    if report is not None and report.reason is not None:
        return End(report, _reported(report, code), permanent, finished)
    reason, message = _explained(pod)
    return End(report, make_failure(reason, message, code), permanent, finished)


def read_report(ended: Terminated | None) -> Report | None:
    """The report in a termination message; None where there is none, or none of this version."""
    if ended is None:
        return None
    try:
        return parse_report(ended.message)
    except InvalidFieldError:
        return None


def make_failure(reason: Reason, message: str, exit_code: int | None = None) -> Failure:
    return Failure(reason.name, shortened(message), reason.advice, exit_code)


def _reported(report: Report, exit_code: int | None) -> Failure:
    """The report's reason; one that this version does not know is kept, since names are only ever added."""
    name = report.reason or ""
    known = reasons.BY_NAME.get(name)
    return Failure(name, shortened(report.message or name), known.advice if known else "", exit_code)


def _explained(pod: PodView) -> tuple[Reason, str]:
    said = (pod.message or "").strip()
    if pod.terminated is not None and pod.terminated.reason == OOM_KILLED:
        return reasons.OUT_OF_MEMORY, f"pod {pod.name} was killed: its memory limit was reached"
    if pod.reason == EVICTED and ("ephemeral" in said or "disk" in said.lower() or "storage" in said):
        return reasons.NO_SPACE_LEFT, f"pod {pod.name} was evicted: {said}"
    if pod.reason == EVICTED and "memory" in said:
        return reasons.OUT_OF_MEMORY, f"pod {pod.name} was evicted: {said}"
    if pod.disrupted is not None:
        return reasons.INTERRUPTED, f"pod {pod.name} was disrupted: {pod.disrupted}"
    return reasons.WORKER_FAILED, _without_report(pod, said)


def _without_report(pod: PodView, said: str) -> str:
    parts = [f"pod {pod.name} ended without a report"]
    if pod.terminated is not None:
        parts.append(f"exit code {pod.terminated.exit_code} ({pod.terminated.reason or 'no reason given'})")
    if pod.reason or said:
        parts.append(f"{pod.reason or pod.phase}: {said}")
    return "; ".join(parts)
