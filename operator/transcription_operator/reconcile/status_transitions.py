"""The steps by which a status changes. Each is a pure function from one status to the next; times are RFC 3339, UTC."""

import dataclasses

from transcription_api import layout, reasons
from transcription_api.reasons import Reason
from transcription_api.report import DeviceUsed, ModelUsed, Report
from transcription_api.spec import DevicePolicy, Spec
from transcription_api.status import ConditionType, Failure, JobRef, Phase, ProgressStatus, Status

from transcription_operator.models.times import earliest, format_duration, seconds_between
from transcription_operator.reconcile.conditions import find_condition, is_true, set_condition
from transcription_operator.reconcile.observed_state import ObservedProgress
from transcription_operator.reconcile.results import result_objects

# Conditions that are True once a resource is finished.
_ENDS = (ConditionType.COMPLETE.value, ConditionType.FAILED.value)


def is_finished(status: Status) -> bool:
    """Whether the resource is Complete or Failed: after that nothing runs for it."""
    return any(is_true(status.conditions, kind) for kind in (ConditionType.COMPLETE, ConditionType.FAILED))


def with_condition(status: Status, kind: ConditionType, value: bool, reason: Reason, message: str, at: str) -> Status:
    """Set one condition; see `conditions.set_condition`."""
    return dataclasses.replace(status, conditions=set_condition(status.conditions, kind, value, reason, message, at))


def mark_pending(status: Status, reason: Reason, message: str, at: str) -> Status:
    """Set Running=False with the reason why no worker runs."""
    status = dataclasses.replace(status, phase=Phase.PENDING, progress=None)
    return with_condition(status, ConditionType.RUNNING, False, reason, message, at)


def mark_running(status: Status, message: str, at: str) -> Status:
    """Set Running=True."""
    status = dataclasses.replace(status, phase=Phase.RUNNING)
    return with_condition(status, ConditionType.RUNNING, True, reasons.WORKER_RUNNING, message, at)


def mark_suspended(status: Status, reason: Reason, message: str, at: str) -> Status:
    """Set Suspended=True.

    The phase is Suspended only if the spec says so. A Job that waits for its queue is Pending, since nobody stopped it.
    """
    status = mark_pending(status, reason, message, at)
    phase = Phase.SUSPENDED if reason is reasons.SUSPENDED_BY_SPEC else Phase.PENDING
    status = dataclasses.replace(status, phase=phase, active_pods=None)
    return with_condition(status, ConditionType.SUSPENDED, True, reason, message, at)


def mark_resumed(status: Status, at: str) -> Status:
    """Set Suspended=False. A resource that was never suspended does not get the condition."""
    if find_condition(status.conditions, ConditionType.SUSPENDED) is None:
        return status
    return with_condition(status, ConditionType.SUSPENDED, False, reasons.RESUMED, "the Job may run", at)


def mark_failed(status: Status, failure: Failure, at: str) -> Status:
    """Finish the resource with Failed=True, whose reason and message are the failure's.

    A failure that the status has already comes first: after it many files were only accounted for.
    """
    status, failure = _finish(status, Phase.FAILED, at), status.failure or failure
    status = dataclasses.replace(status, failure=failure)
    reason = reasons.BY_NAME.get(failure.reason) or Reason(failure.reason, True, failure.advice)
    return with_condition(status, ConditionType.FAILED, True, reason, failure.message, at)


def mark_complete(status: Status, message: str, at: str, reason: Reason = reasons.RESULTS_VERIFIED) -> Status:
    """Finish the resource with Complete=True."""
    status = _finish(status, Phase.COMPLETE, at)
    return with_condition(status, ConditionType.COMPLETE, True, reason, message, at)


def _finish(status: Status, phase: Phase, at: str) -> Status:
    status = dataclasses.replace(
        status, phase=phase, completion_time=at, progress=None, active_time=None, active_pods=None
    )
    status = with_condition(status, ConditionType.RUNNING, False, reasons.FINISHED, "no worker runs any more", at)
    return mark_resumed(status, at)


def finished_time(status: Status) -> str | None:
    """When the resource was seen to be finished, by the apiserver's clock; None if it is not finished."""
    ends = (item for item in status.conditions if item.type in _ENDS and item.status == "True")
    return next((item.last_transition_time for item in ends), None)


def with_finished_time(status: Status, at: str) -> Status:
    """Say that the resource was seen to be finished at this time. One that is not finished stays as it is."""
    if not is_finished(status):
        return status
    conditions = tuple(
        dataclasses.replace(item, last_transition_time=at) if item.type in _ENDS and item.status == "True" else item
        for item in status.conditions
    )
    return dataclasses.replace(status, conditions=conditions)


def with_job(status: Status, job_ref: JobRef, created: str, attempt: int) -> Status:
    """Refer to the resource's newest Job. The first Job's creation is queuedTime.

    A Job of shards that follows another one waits for a pod of its own: the wait of the one before is not part of its time.
    """
    queued, before = status.queued_time or created, status.job_ref
    if before is not None and before.phase == job_ref.phase and before.ordinal != job_ref.ordinal:
        status = _without_queue(status)
    return dataclasses.replace(status, job_ref=job_ref, queued_time=queued, attempt=attempt)


def _without_queue(status: Status) -> Status:
    known = status.phase_seconds
    return dataclasses.replace(status, phase_seconds=known and dataclasses.replace(known, queue=None))


def with_start(status: Status, started: str | None) -> Status:
    """Set startTime and queueSeconds from the first worker's start. A later worker's start changes nothing."""
    if started is None or (status.start_time is not None and earliest(status.start_time, started) == status.start_time):
        return status
    # The clock of the node, which says when the worker started, may be behind the apiserver's.
    waited = max(0.0, seconds_between(status.queued_time, started)) if status.queued_time else None
    return dataclasses.replace(status, start_time=started, queue_seconds=waited)


def with_progress(status: Status, spec: Spec, observed: ObservedProgress, at: str) -> Status:
    """Copy a running worker's progress."""
    progress = observed.progress
    percent = None
    if progress.seconds_total:
        percent = int(min(100.0, 100 * progress.seconds_done / progress.seconds_total))
    shown = ProgressStatus(
        stage=progress.stage,
        percent=percent,
        seconds_done=progress.seconds_done,
        seconds_total=progress.seconds_total,
        eta_seconds=progress.eta_seconds,
        observed_time=observed.observed_time,
    )
    status = dataclasses.replace(status, progress=shown, language=progress.language or status.language)
    return with_device(status, spec, progress.device, at)


def with_device(status: Status, spec: Spec, device: DeviceUsed | None, at: str) -> Status:
    """Set the device that the worker uses. Degraded=True if a GPU was preferred and the worker runs on the CPU."""
    if device is None:
        return status
    status = dataclasses.replace(status, device=device)
    if spec.device.policy is not DevicePolicy.PREFER_GPU or device.fallback_reason is None:
        others = tuple(item for item in status.conditions if item.type != ConditionType.DEGRADED.value)
        return dataclasses.replace(status, conditions=others)
    message = f"{device.fallback_reason}: {device.fallback_message or ''}"
    return with_condition(status, ConditionType.DEGRADED, True, reasons.CPU_FALLBACK, message, at)


def with_report(status: Status, spec: Spec, report: Report | None, at: str) -> Status:
    """Copy what the worker reported when it ended."""
    if report is None:
        return status
    preview = report.preview[: spec.preview.characters] if report.preview else None
    return dataclasses.replace(
        with_device(status, spec, report.device, at),
        engine=report.engine or status.engine,
        model=report.model or status.model,
        precision=report.precision,
        long_form=report.long_form,
        channels=report.channels,
        language=report.language or status.language,
        language_probability=report.language_probability,
        audio_seconds=report.audio_seconds,
        audio_duration=None if report.audio_seconds is None else format_duration(report.audio_seconds),
        wall_seconds=report.wall_seconds,
        rtfx=None if report.rtfx is None else round(report.rtfx, 1),
        audio_wait_share=report.audio_wait_share,
        words=report.words,
        segments=report.segments,
        audio_track=report.audio_track,
        audio_tracks=report.audio_tracks,
        warnings=report.warnings or status.warnings,
        quality=report.quality,
        preview=preview or None,
        reused=report.reused or None,
        # Of many files, the account in the destination has them.
        results=() if spec.has_phases else result_objects(spec, report),
    )


def with_model(status: Status, spec: Spec) -> Status:
    """Set the model's name from the spec, until a worker reports the model that it loaded."""
    return status if status.model else dataclasses.replace(status, model=ModelUsed(spec.model.display_name))


def with_report_key(status: Status, spec: Spec) -> Status:
    """Set the key of the report in the destination's bucket."""
    return dataclasses.replace(status, report_key=layout.report_key(spec))
