"""The phases of the work over many files: which one a resource is in, and which of its Jobs belongs to it.

They are plan, transcribe and collect, each a Job. The stored conditions alone say which phase it is, so that any call may be
the first after a crash: Planned is True once the plan is stored, and Collected is there, False, once the files are transcribed
as far as they can be. A phase is left in the same write that stores what it found.
"""

from datetime import datetime

from transcription_api import names
from transcription_api.codec import InvalidFieldError
from transcription_api.spec import Spec
from transcription_api.status import ConditionType, Status

from transcription_operator.models.objects import JobView, Resource
from transcription_operator.models.times import is_time, seconds_between
from transcription_operator.reconcile.conditions import find_condition, is_true
from transcription_operator.reconcile.stored_spec import parse_stored_spec

# Seconds after the deletion of a Job in which its pods may write: their grace period, and time for the garbage collector.
LAST_WRITES_SECONDS = names.TERMINATION_GRACE_SECONDS + 10.0


def current_phase(spec: Spec, status: Status) -> str | None:
    """The phase of the work, one of names.PHASES, or None for a single file, which has one Job and no phases."""
    if not spec.has_phases:
        return None
    if status.plan is None or not is_true(status.conditions, ConditionType.PLANNED):
        return names.PHASE_PLAN
    collected = find_condition(status.conditions, ConditionType.COLLECTED)
    return names.PHASE_TRANSCRIBE if collected is None else names.PHASE_COLLECT


def current_job(resource: Resource, status: Status, jobs: tuple[JobView, ...]) -> JobView | None:
    """The newest of the Jobs, by ordinal, that belongs to the resource's phase, or None if there is none."""
    phase = _stored_phase(resource, status)
    return next((job for job in reversed(jobs) if phase is None or job.phase == phase), None)


def expects_job(resource: Resource, status: Status) -> bool:
    """Whether the Job that the status names belongs to the current phase, so that it should exist."""
    phase = _stored_phase(resource, status)
    return status.job_ref is not None and phase in (None, status.job_ref.phase)


def left_behind(spec: Spec, status: Status, jobs: tuple[JobView, ...]) -> tuple[JobView, ...]:
    """The Jobs of other phases than the current one that have not ended, and are not being deleted yet."""
    phase = current_phase(spec, status)
    if phase is None:
        return ()
    return tuple(job for job in jobs if job.phase != phase and job.outcome is None and not job.deleting)


def seconds_until_account(status: Status, jobs: tuple[JobView, ...], now: datetime) -> float:
    """The seconds until the account may be written; 0 or less if it may be now.

    The pods of a Job that has ended have ended. Those of one that was deleted have their grace period, in which a worker
    finishes what is nearly done: an account that is written before that would call such files failed.
    """
    collected = find_condition(status.conditions, ConditionType.COLLECTED)
    ended = any(job.phase == names.PHASE_TRANSCRIBE and job.outcome is not None for job in jobs)
    transcribed = status.job_ref is not None and status.job_ref.phase == names.PHASE_TRANSCRIBE
    if ended or not transcribed or status.failure is None or collected is None:
        return 0.0
    since = collected.last_transition_time
    waited = max(0.0, seconds_between(since, now)) if is_time(since) else LAST_WRITES_SECONDS
    return LAST_WRITES_SECONDS - waited


def _stored_phase(resource: Resource, status: Status) -> str | None:
    try:
        spec = parse_stored_spec(resource.spec_json)
    except InvalidFieldError:
        return None  # no Job is made for it
    return current_phase(spec, status)
