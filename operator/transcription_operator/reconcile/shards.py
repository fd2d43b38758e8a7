"""The status while the Job of many shards runs: how many pods do, and how far they are together.

What is shown is an estimate until the account is written: of shards that ended, the counts alone are known. It changes with
every pod, and is written no more often than the time that the Job has run allows: some 100 times in the first hour.
"""

import dataclasses
from datetime import datetime

from transcription_api import exit_codes, names, reasons
from transcription_api.report import MAX_WARNINGS, FileCounts, PlanSummary
from transcription_api.spec import Spec
from transcription_api.status import ConditionType, Failure, PhaseSeconds, ProgressStatus, Status

from transcription_operator.models.objects import JobView, PodView
from transcription_operator.models.times import format_duration, format_time, is_time, parse_time, seconds_between
from transcription_operator.reconcile import status_transitions as transitions
from transcription_operator.reconcile.conditions import is_true
from transcription_operator.reconcile.disruptions import tell_disruptions
from transcription_operator.reconcile.job_status import explain_failed_job, explain_lost_node
from transcription_operator.reconcile.observed_state import ObservedState
from transcription_operator.reconcile.phase_ends import end_transcription, seconds_of_running, with_files
from transcription_operator.reconcile.pods import (
    Waiting,
    explain_waiting,
    first_start,
    is_terminated,
    last_termination,
    lost_pod,
    running_pods,
)
from transcription_operator.reconcile.termination import explain_termination, read_report

# Pods of one resource that are polled. What they tell stands for the others.
MAX_POLLED = 64
# Seconds between two writes of what is shown: at first, in the long run, and in between this part of the time so far.
SHORTEST_SECONDS, LONGEST_SECONDS, PART = 10.0, 120.0, 1 / 30
# Seconds of audio in a second, below which no time of the end is told.
SLOWEST = 1e-6
# The Job controller's reason for a Job whose other indexes went on to their ends after some had failed.
FAILED_INDEXES = "FailedIndexes"
# Characters of another message within one.
QUOTED = 200


def update_from_shards(
    status: Status, spec: Spec, job: JobView, observed: ObservedState, now: str
) -> tuple[Status, tuple[PodView, ...]]:
    """The status that a Job with shards leads to, and the pods whose progress is to be polled."""
    status = _with_queue_seconds(transitions.with_start(status, first_start(observed.pods)), job, observed.pods)
    if job.outcome is not None:
        failure = _failure_of_all(status, spec, job, observed.pods)
        status = _with_warnings(status, observed.pods)
        return end_transcription(status, job, failure, job.outcome_time or now), ()
    pods = running_pods(observed.pods)
    polled = pods[:MAX_POLLED]
    began = bool(pods) and not is_true(observed.status.conditions, ConditionType.RUNNING)
    if job.concluding:
        return _with_lost_node(status, observed.pods, now), polled
    if seconds_until_shown(status, job, parse_time(now)) > 0 and not began:
        return status, polled
    status = _with_running(status, job, pods, observed, now)
    return _with_progress(status, spec, job, len(pods), observed, now), polled


def _with_lost_node(status: Status, pods: tuple[PodView, ...], now: str) -> Status:
    """Say which node the Job's end waits for, where it does: it may do so for ever."""
    lost = next((pod for pod in pods if lost_pod((pod,), now) is not None), None)
    return status if lost is None else transitions.mark_pending(status, reasons.NODE_LOST, explain_lost_node(lost), now)


def _with_warnings(status: Status, pods: tuple[PodView, ...]) -> Status:
    """Set what the pods' workers had to give up, each sentence once. Most reports have none, and are not parsed for it."""
    ended = (pod.terminated for pod in pods if pod.terminated is not None and '"warnings"' in pod.terminated.message)
    reports = (report for report in map(read_report, ended) if report is not None)
    told = dict.fromkeys(words for report in reports for words in report.warnings or ())
    return dataclasses.replace(status, warnings=tuple(sorted(told))[:MAX_WARNINGS] or None)


def _with_queue_seconds(status: Status, job: JobView, pods: tuple[PodView, ...]) -> Status:
    """Set how long the Job waited for its first pod to run."""
    known, start = status.phase_seconds or PhaseSeconds(), first_start(pods)
    if known.queue is not None or start is None:
        return status
    known = dataclasses.replace(known, queue=max(0.0, seconds_between(job.created, start)))
    return dataclasses.replace(status, phase_seconds=known)


def seconds_until_shown(status: Status, job: JobView, now: datetime) -> float:
    """The seconds until the status may be written for the progress alone; 0 or less if it may be now."""
    shown = status.progress.observed_time if status.progress is not None else None
    if shown is None or not is_time(shown):
        return 0.0
    elapsed = seconds_of_running(status, job, format_time(now))
    return min(max(elapsed * PART, SHORTEST_SECONDS), LONGEST_SECONDS) - max(0.0, seconds_between(shown, now))


def _failure_of_all(status: Status, spec: Spec, job: JobView, pods: tuple[PodView, ...]) -> Failure | None:
    """The failure that ended the Job for all shards, or None where each went on to its own end."""
    if job.outcome == "Complete" or job.outcome_reason == FAILED_INDEXES:
        return None
    ended = [explain_termination(pod) for pod in pods if is_terminated(pod)]
    permanent = next((termination for termination in ended if termination.permanent), None)
    return explain_failed_job(status, spec, job, permanent or last_termination(pods))


def _with_running(status: Status, job: JobView, pods: tuple[PodView, ...], observed: ObservedState, now: str) -> Status:
    """Set the condition Running: how many pods run, or why none does."""
    ended = f"{job.succeeded} of {job.completions} shards ended"
    ended += f", {job.failed_indexes} without an attempt left" if job.failed_indexes else ""
    if pods:
        others = _tell_others(job, observed.pods, now)
        message = "; ".join((f"{len(pods)} of {job.parallelism} pods run", ended, *others, *tell_disruptions(status)))
        return transitions.mark_running(status, message, now)
    waiting = _explain_waiting(job, observed, now)
    failed = _tell_failure(observed.pods)
    reason = reasons.RETRYING if failed and waiting.reason is reasons.WAITING_FOR_POD else waiting.reason
    message = "; ".join((waiting.message, ended, *failed, *tell_disruptions(status)))
    return transitions.mark_pending(status, reason, message, now)


def _explain_waiting(job: JobView, observed: ObservedState, now: str) -> Waiting:
    lost = lost_pod(observed.pods, now)
    if lost is not None:
        return Waiting(reasons.NODE_LOST, explain_lost_node(lost))
    if observed.pod_refusal is not None:
        return Waiting(reasons.POD_NOT_CREATED, observed.pod_refusal)
    return explain_waiting(job, observed.pods, observed.no_node)


def _tell_others(job: JobView, pods: tuple[PodView, ...], now: str) -> list[str]:
    """What becomes of the pods that do not run, while others do."""
    told, lost = [], [pod for pod in pods if lost_pod((pod,), now) is not None]
    if lost:
        told.append(f"{len(lost)} on a node that does not answer, as pod {lost[-1].name} on {lost[-1].node}")
    waiting = tuple(pod for pod in pods if not pod.running and not is_terminated(pod) and pod not in lost)
    if waiting:
        told.append(f"{len(waiting)} not started: {explain_waiting(job, waiting).message[:QUOTED]}")
    return told + _tell_devices(pods) + _tell_failure(pods)


def _tell_devices(pods: tuple[PodView, ...]) -> list[str]:
    """Of the pods that run, one whose device the kubelet calls unhealthy, and how many there are."""
    sick = [pod for pod in running_pods(pods) if pod.sick_devices is not None]
    return [f"{len(sick)} with a sick device, as pod {sick[-1].name}: {sick[-1].sick_devices}"] if sick else []


def _tell_failure(pods: tuple[PodView, ...]) -> list[str]:
    """How the newest of the pods failed that failed by themselves."""
    failed = tuple(pod for pod in pods if is_terminated(pod) and pod.disrupted is None and not _was_stopped(pod))
    termination = last_termination(failed)
    failure = termination.failure if termination is not None else None
    return [f"the last pod to fail: {failure.reason}: {failure.message[:QUOTED]}"] if failure is not None else []


def _was_stopped(pod: PodView) -> bool:
    return pod.terminated is not None and pod.terminated.exit_code == exit_codes.INTERRUPTED


def _with_progress(status: Status, spec: Spec, job: JobView, running: int, observed: ObservedState, now: str) -> Status:
    """Set the files, the seconds of audio and the speed of all pods together."""
    plan, told = status.plan, [item.progress for item in observed.pod_progress]
    if plan is None:
        return status
    scale = running / len(told) if told else 0.0
    seconds = sum(progress.seconds_done for progress in told) * scale
    done = min(plan.audio_seconds, plan.audio_seconds * job.succeeded / job.completions + seconds)
    elapsed = seconds_of_running(status, job, now)
    speed = done / elapsed if elapsed > 0 else 0.0
    eta = (plan.audio_seconds - done) / speed if speed >= SLOWEST else None
    status = with_files(status, _count_files(plan, job, observed, scale))
    shown = ProgressStatus(
        stage=names.PHASE_TRANSCRIBE,
        percent=_percent(plan, done, status.files),
        seconds_done=round(done, 1),
        seconds_total=round(plan.audio_seconds, 1),
        eta_seconds=None if eta is None else round(eta, 1),
        eta=None if eta is None else format_duration(eta),
        observed_time=now,
    )
    rtfx = round(speed, 1) if speed > 0 else None
    status = dataclasses.replace(status, progress=shown, rtfx=rtfx, active_pods=running)
    device = next((progress.device for progress in told if progress.device is not None), None)
    return transitions.with_device(status, spec, device, now)


def _count_files(plan: PlanSummary, job: JobView, observed: ObservedState, scale: float) -> FileCounts:
    """Estimate the account: a shard that succeeded counts as done, with the share of the files that it has on average."""
    share = plan.to_transcribe / job.completions
    told = [item.progress for item in observed.pod_progress]
    failed = share * job.failed_indexes + scale * sum(progress.files_failed or 0 for progress in told)
    done = share * job.succeeded + scale * sum(progress.files_done or 0 for progress in told)
    failed = min(round(failed), plan.to_transcribe)
    return FileCounts(
        total=plan.files,
        done=min(round(done), plan.to_transcribe - failed),
        reused=plan.reused,
        failed=plan.refused + failed,
        skipped=plan.skipped,
    )


def _percent(plan: PlanSummary, seconds: float, files: FileCounts | None) -> int:
    """By seconds of audio, or by files where no header told any."""
    if plan.audio_seconds > 0:
        return int(100 * seconds / plan.audio_seconds)
    return int(100 * files.done / plan.to_transcribe) if files is not None and plan.to_transcribe else 0
