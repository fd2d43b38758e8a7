"""Update the status from a Job and its pods: waiting, running, retrying, complete or failed."""

import dataclasses
import re

from transcription_api import exit_codes, reasons
from transcription_api.spec import Spec
from transcription_api.status import ConditionType, Failure, Status

from transcription_operator.models.objects import JobView, PodView
from transcription_operator.models.times import parse_time
from transcription_operator.reconcile import status_transitions as transitions
from transcription_operator.reconcile.active_deadline import explain_deadline, is_due
from transcription_operator.reconcile.conditions import find_condition
from transcription_operator.reconcile.disruptions import tell_disruptions
from transcription_operator.reconcile.observed_state import ObservedState
from transcription_operator.reconcile.phase_ends import end_phase
from transcription_operator.reconcile.pods import (
    BACK_OFF,
    attempt_number,
    current_pod,
    explain_waiting,
    first_start,
    is_terminated,
    last_termination,
    lost_pod,
    proven_termination,
    running_pod,
)
from transcription_operator.reconcile.results import missing_results
from transcription_operator.reconcile.termination import Termination, is_evicted_for_its_use, make_failure


def update_from_job(
    status: Status, spec: Spec, job: JobView, observed: ObservedState, now: str
) -> tuple[Status, tuple[PodView, ...]]:
    """The status that a Job with one pod at a time leads to, and the pod whose progress is to be polled, if one is."""
    status = transitions.with_start(status, first_start(observed.pods))
    if job.outcome == "Complete":
        return _complete(status, spec, job, observed), ()
    if job.outcome == "Failed":
        return _failed(status, spec, job, last_termination(observed.pods)), ()
    lost = lost_pod(observed.pods, now)
    if lost is not None:
        return transitions.mark_pending(status, reasons.NODE_LOST, explain_lost_node(lost), now), ()
    pod = running_pod(observed.pods)
    if pod is not None:
        return _running(status, spec, job, pod, observed), (pod,)
    return _waiting(status, spec, job, observed, now), ()


def _complete(status: Status, spec: Spec, job: JobView, observed: ObservedState) -> Status:
    """Complete only if the report confirms every object: a Job that succeeded proves nothing."""
    at, pods = job.outcome_time or job.created, observed.pods
    termination = proven_termination(spec, job, pods)
    report = termination.report if termination is not None else None
    if job.phase is None:
        status = transitions.with_report(status, spec, report, at)
    missing = missing_results(spec, report, job.phase)
    if report is None or report.reason is not None or missing:
        why = "the worker left no report" if report is None else f"the report lacks {', '.join(missing) or 'success'}"
        return transitions.mark_failed(status, make_failure(reasons.RESULT_INCOMPLETE, why), at)
    if job.phase is not None:
        return end_phase(status, spec, job, report, observed.resource.owner, at)
    message = f"{len(report.objects)} objects seen in bucket {spec.destination.s3.bucket}{_tell_sidecars(pods)}"
    return transitions.mark_complete(transitions.with_report_key(status, spec), message, at)


def _tell_sidecars(pods: tuple[PodView, ...]) -> str:
    running = [f"{name} in pod {pod.name}" for pod in pods if pod.outlived for name in pod.running_sidecars]
    return f"; the Job was deleted since a container went on: {', '.join(running)}" if running else ""


def _failed(status: Status, spec: Spec, job: JobView, termination: Termination | None) -> Status:
    at = job.outcome_time or job.created
    report = termination.report if termination is not None else None
    status = transitions.with_report(status, spec, report, at)
    if report is not None and report.reason == reasons.QUALITY_REJECTED.name:
        # The only failure that comes after the results and the report were written.
        status = transitions.with_report_key(status, spec)
    return transitions.mark_failed(status, explain_failed_job(status, spec, job, termination), at)


def explain_failed_job(status: Status, spec: Spec, job: JobView, termination: Termination | None) -> Failure:
    """The failure of a Job that has failed, of whose pods one terminated like this."""
    if job.outcome_reason == "DeadlineExceeded":
        return explain_deadline(status, spec, job, termination)
    if termination is None or termination.failure is None:
        why = f"{job.outcome_reason}: {job.outcome_message}"
        message = f"Job {job.name} failed and no failed pod is left to ask; {why}"
        return make_failure(reasons.WORKER_FAILED, message, _exit_code(job.outcome_message or ""))
    if termination.permanent:
        return termination.failure
    attempts = attempt_number(job)
    counted = f"{termination.failure.message} (after {attempts} attempt{'s' if attempts > 1 else ''})"
    return dataclasses.replace(termination.failure, message=counted)


def _exit_code(message: str) -> int | None:
    """The exit code that the Job controller tells of a pod that matched the podFailurePolicy, or None."""
    found = re.search(r"failed with exit code (\d{1,3}) matching FailJob rule", message)
    return int(found[1]) if found is not None else None


def _running(status: Status, spec: Spec, job: JobView, pod: PodView, observed: ObservedState) -> Status:
    phase = f"{job.phase}: " if job.phase is not None else ""
    attempts = f"attempt {attempt_number(job)} of {job.first_attempt + spec.retries}"
    at = pod.started or job.created
    status = transitions.mark_running(
        status,
        "; ".join((f"{phase}pod {pod.name}, {attempts}", *_doubts(pod, observed), *tell_disruptions(status))),
        at,
    )
    if observed.silent_since is not None:
        return dataclasses.replace(status, progress=None)
    if observed.progress is not None:
        status = transitions.with_progress(status, spec, observed.progress, at)
    return status


def _doubts(pod: PodView, observed: ObservedState) -> list[str]:
    """Why a worker that its node once showed as running may run no longer, or not for long."""
    doubts = []
    if pod.node_unready_since is not None:
        doubts.append(f"node {pod.node} is not ready since {pod.node_unready_since}")
    if pod.deletion_time is not None:
        doubts.append(f"the pod is being deleted: {pod.disrupted or 'by somebody'}")
    if observed.silent_since is not None:
        doubts.append(f"the worker has not answered since {observed.silent_since}")
    if pod.sick_devices is not None:
        doubts.append(pod.sick_devices)
    return doubts


def explain_lost_node(pod: PodView) -> str:
    """The Job makes no other pod before the node, or somebody in its place, says that this one has ended."""
    awaited = f" and had to end by {pod.deletion_time}" if pod.deletion_time is not None else ""
    return (
        f"pod {pod.name} is on node {pod.node}, which does not answer{awaited}; the next pod is made after its end. If the "
        "node is lost, delete its Node object, or taint it node.kubernetes.io/out-of-service=nodeshutdown:NoExecute"
    )


def _waiting(status: Status, spec: Spec, job: JobView, observed: ObservedState, now: str) -> Status:
    if job.concluding or is_due(status, spec, parse_time(now)):
        return status  # it tells what was waited for; the Job controller may have deleted the pods already
    termination = last_termination(observed.pods)
    if termination is not None and current_pod(observed.pods) is None and _is_last_attempt(termination, spec, job):
        return status  # the Job is about to become Complete or Failed
    if observed.pod_refusal is not None:
        return transitions.mark_pending(status, reasons.POD_NOT_CREATED, observed.pod_refusal, now)
    waiting = explain_waiting(job, observed.pods, observed.no_node)
    message = "; ".join((waiting.message, *tell_disruptions(status)))
    if termination is not None and termination.failure is not None:
        message = f"{_tell_last_pod(job, observed.pods, termination.failure)}; {message}"
        return transitions.mark_pending(status, reasons.RETRYING, message, termination.finished or now)
    if BACK_OFF in waiting.message and _has_reason(status, waiting.reason.name):
        return status  # this message does not say why the pull failed; the one in the status does
    # A pod that ran and is gone left no time of its end, so that the wait for the next one begins now.
    ran = find_condition(status.conditions, ConditionType.RUNNING) is not None
    return transitions.mark_pending(status, waiting.reason, message, now if ran else job.created)


def _tell_last_pod(job: JobView, pods: tuple[PodView, ...], failure: Failure) -> str:
    """How the last pod failed. A disrupted one that is no attempt has the number of the attempt that it began."""
    last = next(pod for pod in reversed(pods) if is_terminated(pod))
    stopped = last.terminated is not None and last.terminated.exit_code == exit_codes.INTERRUPTED
    if (stopped or last.disrupted is not None) and not is_evicted_for_its_use(last):
        return f"attempt {attempt_number(job)} is begun again after {failure.reason}: {failure.message}"
    counted = 0 if last.outlived else 1  # the Job counts a pod once it has ended
    return f"attempt {max(attempt_number(job) - counted, 1)} failed with {failure.reason}: {failure.message}"


def _is_last_attempt(termination: Termination, spec: Spec, job: JobView) -> bool:
    return termination.failure is None or termination.permanent or job.failed > spec.retries


def _has_reason(status: Status, reason: str) -> bool:
    condition = find_condition(status.conditions, ConditionType.RUNNING)
    return condition is not None and condition.reason == reason
