"""A Job's course in the status: waiting, running, retrying, complete or failed."""

import dataclasses

from transcription_api import reasons
from transcription_api.spec import Spec
from transcription_api.status import ConditionType, Failure, Status

from transcription_operator.models.objects import JobView, PodView
from transcription_operator.reconcile import status as fold
from transcription_operator.reconcile.conditions import find_condition
from transcription_operator.reconcile.plan import Observed
from transcription_operator.reconcile.pods import (
    BACK_OFF,
    attempt_number,
    describe_wait,
    first_start,
    has_ended,
    newest_end,
    running_pod,
)
from transcription_operator.reconcile.termination import End, make_failure


def fold_job(status: Status, spec: Spec, job: JobView, seen: Observed, now: str) -> tuple[Status, PodView | None]:
    """The status, and the pod whose progress is to be asked for."""
    status = fold.with_start(status, first_start(seen.pods))
    if job.outcome == "Complete":
        return _complete(status, spec, job, newest_end(seen.pods)), None
    if job.outcome == "Failed":
        return _failed(status, spec, job, newest_end(seen.pods)), None
    pod = running_pod(seen.pods)
    if pod is not None:
        return _running(status, spec, job, pod, seen), pod
    return _waiting(status, spec, job, seen, now), None


def _complete(status: Status, spec: Spec, job: JobView, end: End | None) -> Status:
    """Complete only if the report confirms every object; a Job's success alone proves nothing."""
    at = job.outcome_time or job.created
    report = end.report if end is not None else None
    status = fold.with_report(status, spec, report, at)
    missing = fold.missing_results(spec, report)
    if report is None or report.reason is not None or missing:
        why = "the worker left no report" if report is None else f"the report lacks {', '.join(missing) or 'success'}"
        return fold.failed(status, make_failure(reasons.RESULT_INCOMPLETE, why), at)
    message = f"{len(report.objects)} objects seen in bucket {spec.destination.s3.bucket}"
    return fold.completed(fold.with_report_key(status, spec), message, at)


def _failed(status: Status, spec: Spec, job: JobView, end: End | None) -> Status:
    at = job.outcome_time or job.created
    report = end.report if end is not None else None
    status = fold.with_report(status, spec, report, at)
    if report is not None and report.reason == reasons.QUALITY_REJECTED.name:
        status = fold.with_report_key(status, spec)  # the only failure after everything is written
    return fold.failed(status, _final_failure(spec, job, end), at)


def _final_failure(spec: Spec, job: JobView, end: End | None) -> Failure:
    if job.outcome_reason == "DeadlineExceeded":
        message = f"the Job ran longer than activeDeadlineSeconds: {spec.active_deadline_seconds}"
        return make_failure(reasons.DEADLINE_EXCEEDED, message)
    if end is None or end.failure is None:
        said = f"{job.outcome_reason}: {job.outcome_message}"
        return make_failure(reasons.WORKER_FAILED, f"Job {job.name} failed and no failed pod is left to ask; {said}")
    if end.permanent:
        return end.failure
    attempts = attempt_number(job)
    counted = f"{end.failure.message} (after {attempts} attempt{'s' if attempts > 1 else ''})"
    return dataclasses.replace(end.failure, message=counted)


def _running(status: Status, spec: Spec, job: JobView, pod: PodView, seen: Observed) -> Status:
    attempts = f"attempt {attempt_number(job)} of {job.ordinal + spec.retries}"
    at = pod.started or job.created
    status = fold.running(status, f"pod {pod.name}, {attempts}", at)
    if seen.progress is not None:
        status = fold.with_progress(status, spec, seen.progress, at)
    return status


def _waiting(status: Status, spec: Spec, job: JobView, seen: Observed, now: str) -> Status:
    end = newest_end(seen.pods)
    if end is not None and has_ended(seen.pods[-1]) and _is_last(end, spec, job):
        return status  # the Job's own verdict is about to come
    wait = describe_wait(job, seen.pods)
    if end is not None and end.failure is not None:
        message = f"attempt {max(attempt_number(job) - 1, 1)} failed with {end.failure.reason}: {end.failure.message}"
        return fold.waiting(status, reasons.RETRYING, f"{message}; {wait.message}", end.finished or now)
    if wait.message.startswith(BACK_OFF) and _says(status, wait.reason.name):
        return status  # its words hide why the pull failed; the status has them already
    return fold.waiting(status, wait.reason, wait.message, job.created)


def _is_last(end: End, spec: Spec, job: JobView) -> bool:
    return end.failure is None or end.permanent or job.failed > spec.retries


def _says(status: Status, reason: str) -> bool:
    said = find_condition(status.conditions, ConditionType.RUNNING)
    return said is not None and said.reason == reason
