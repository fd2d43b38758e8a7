"""Bring the times of an observed state to the apiserver's clock, as far as the other clocks let it be known.

A Job's times are by the clock of the Job controller, and a pod's by that of its node if the pod does not say more (see
`models.times.server_time`). What they are compared with is by the apiserver's clock: creation times, and now.
"""

import dataclasses
from datetime import datetime

from transcription_api.status import ConditionType, Status

from transcription_operator.models.objects import JobView, PodView
from transcription_operator.models.times import earliest, format_time, is_time, latest, parse_time
from transcription_operator.reconcile.conditions import find_condition, is_true
from transcription_operator.reconcile.observed_state import ObservedState


def to_server_time(observed: ObservedState, now: datetime) -> ObservedState:
    """The same state, with no time in the future and no Job that ended before its pods or began before it was created."""
    if observed.job is None:  # nor are there pods
        return observed
    at = format_time(now)
    pods = tuple(_limit_pod(pod, at) for pod in observed.pods)
    job = observed.job
    started, ended = _job_start(job, observed.status, at), _job_end(job, pods, observed.status, at)
    job = dataclasses.replace(job, started=started, outcome_time=ended)
    return dataclasses.replace(observed, job=job, pods=pods)


def _limit_pod(pod: PodView, at: str) -> PodView:
    ended = pod.terminated
    if pod.started is None and ended is None:
        return pod
    if ended is not None:
        ended = dataclasses.replace(ended, started=_limit(ended.started, at), finished=_limit(ended.finished, at))
    return dataclasses.replace(pod, started=_limit(pod.started, at), terminated=ended)


def _limit(time: str | None, at: str) -> str | None:
    return None if time is None else earliest(time, at)


def _job_start(job: JobView, status: Status, at: str) -> str | None:
    """When the Job was created, or last resumed if it has ever been suspended.

    The status tells when the operator noticed that; the Job controller's time is taken only if it is later than that, in
    case that nobody looked for a while, and if it can be true.
    """
    if job.started is None or not job.was_suspended:
        return None if job.started is None else job.created
    noticed = find_condition(status.conditions, ConditionType.SUSPENDED)
    if is_true(status.conditions, ConditionType.SUSPENDED):
        return at
    known = noticed.last_transition_time if noticed is not None else job.created
    if not is_time(known) or parse_time(known) > parse_time(at):
        known = job.created
    if parse_time(job.started) > parse_time(at):
        return known if noticed is not None else at
    return latest(job.created, known, job.started)


def _job_end(job: JobView, pods: tuple[PodView, ...], status: Status, at: str) -> str | None:
    if job.outcome_time is None:
        return None
    before = [pod.terminated.finished for pod in pods if pod.terminated is not None and pod.terminated.finished]
    before += [status.start_time] if status.start_time else []
    return earliest(latest(job.created, job.outcome_time, *before), at)
