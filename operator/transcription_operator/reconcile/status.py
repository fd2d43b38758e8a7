"""The status of a resource, built whole by small steps, each a pure function from one status to the next."""

import dataclasses
from collections.abc import Mapping
from typing import Any

from transcription_api import layout, reasons
from transcription_api.codec import InvalidFieldError, from_json
from transcription_api.reasons import Reason
from transcription_api.report import DeviceUsed, ModelUsed, Report
from transcription_api.spec import Channel, DevicePolicy, Spec
from transcription_api.status import (
    MAX_RESULTS,
    ConditionType,
    Failure,
    JobRef,
    Phase,
    ProgressStatus,
    ResultObject,
    Status,
)

from transcription_operator.models.times import seconds_between
from transcription_operator.reconcile.conditions import holds, set_condition
from transcription_operator.reconcile.plan import SeenProgress


def parse_status(value: Mapping[str, Any]) -> Status:
    """The stored status. Fields that this version does not know are passed over: a newer operator may have written them."""
    known = dict(value)
    for _ in range(len(known) + 1):
        try:
            return from_json(Status, known, "status")
        except InvalidFieldError as error:
            known.pop(error.field.split(".")[1].split("[")[0], None)
    return Status()


def is_finished(status: Status) -> bool:
    """Complete or Failed: nothing runs again."""
    return any(holds(status.conditions, kind) for kind in (ConditionType.COMPLETE, ConditionType.FAILED))


def with_condition(status: Status, kind: ConditionType, value: bool, reason: Reason, message: str, at: str) -> Status:
    return dataclasses.replace(status, conditions=set_condition(status.conditions, kind, value, reason, message, at))


def waiting(status: Status, reason: Reason, message: str, at: str) -> Status:
    """No worker runs, for this reason."""
    status = dataclasses.replace(status, phase=Phase.PENDING, progress=None)
    return with_condition(status, ConditionType.RUNNING, False, reason, message, at)


def running(status: Status, message: str, at: str) -> Status:
    status = dataclasses.replace(status, phase=Phase.RUNNING)
    return with_condition(status, ConditionType.RUNNING, True, reasons.WORKER_RUNNING, message, at)


def suspended(status: Status, reason: Reason, message: str, at: str) -> Status:
    """By the spec, or by a queue that has not admitted the Job: then it is pending, as far as a person is concerned."""
    status = waiting(status, reason, message, at)
    phase = Phase.SUSPENDED if reason is reasons.SUSPENDED_BY_SPEC else Phase.PENDING
    status = dataclasses.replace(status, phase=phase)
    return with_condition(status, ConditionType.SUSPENDED, True, reason, message, at)


def resumed(status: Status, at: str) -> Status:
    """Says so only where it was suspended before."""
    if not holds(status.conditions, ConditionType.SUSPENDED):
        return status
    return with_condition(status, ConditionType.SUSPENDED, False, reasons.RESUMED, "the Job may run", at)


def failed(status: Status, failure: Failure, at: str) -> Status:
    """The end. The message of the condition is the failure's."""
    status = _ended(status, Phase.FAILED, at)
    status = dataclasses.replace(status, failure=failure)
    named = reasons.BY_NAME.get(failure.reason) or Reason(failure.reason, True, failure.advice)
    return with_condition(status, ConditionType.FAILED, True, named, failure.message, at)


def completed(status: Status, message: str, at: str) -> Status:
    status = _ended(status, Phase.COMPLETE, at)
    return with_condition(status, ConditionType.COMPLETE, True, reasons.RESULTS_VERIFIED, message, at)


def _ended(status: Status, phase: Phase, at: str) -> Status:
    status = dataclasses.replace(status, phase=phase, completion_time=at, progress=None)
    status = with_condition(status, ConditionType.RUNNING, False, reasons.FINISHED, "no worker runs any more", at)
    return resumed(status, at)


def with_job(status: Status, reference: JobRef, created: str, attempt: int) -> Status:
    queued = status.queued_time or created
    return dataclasses.replace(status, job_ref=reference, queued_time=queued, attempt=attempt)


def with_start(status: Status, started: str | None) -> Status:
    """The first worker's start, whatever came after it."""
    if started is None or (status.start_time is not None and status.start_time <= started):
        return status
    waited = seconds_between(status.queued_time, started) if status.queued_time else None
    return dataclasses.replace(status, start_time=started, queue_seconds=waited)


def with_progress(status: Status, spec: Spec, seen: SeenProgress, at: str) -> Status:
    """A running worker's answer."""
    progress = seen.progress
    percent = None
    if progress.seconds_total:
        percent = min(100, int(100 * progress.seconds_done / progress.seconds_total))
    shown = ProgressStatus(
        stage=progress.stage,
        percent=percent,
        seconds_done=progress.seconds_done,
        seconds_total=progress.seconds_total,
        eta_seconds=progress.eta_seconds,
        observed_time=seen.time,
    )
    status = dataclasses.replace(status, progress=shown, language=progress.language or status.language)
    return with_device(status, spec, progress.device, at)


def with_device(status: Status, spec: Spec, device: DeviceUsed | None, at: str) -> Status:
    """What ran; Degraded where a GPU was preferred and the CPU took over."""
    if device is None:
        return status
    status = dataclasses.replace(status, device=device)
    if spec.device.policy is not DevicePolicy.PREFER_GPU or device.fallback_reason is None:
        others = tuple(item for item in status.conditions if item.type != ConditionType.DEGRADED.value)
        return dataclasses.replace(status, conditions=others)
    message = f"{device.fallback_reason}: {device.fallback_message or ''}"
    return with_condition(status, ConditionType.DEGRADED, True, reasons.CPU_FALLBACK, message, at)


def with_report(status: Status, spec: Spec, report: Report | None, at: str) -> Status:
    """All that a worker told at its end."""
    if report is None:
        return status
    preview = report.preview[: spec.preview.characters] if report.preview else None
    status = dataclasses.replace(
        with_device(status, spec, report.device, at),
        engine=report.engine or status.engine,
        model=report.model or status.model,
        precision=report.precision,
        long_form=report.long_form,
        channels=report.channels,
        language=report.language or status.language,
        language_probability=report.language_probability,
        audio_seconds=report.audio_seconds,
        audio_duration=None if report.audio_seconds is None else duration(report.audio_seconds),
        wall_seconds=report.wall_seconds,
        rtfx=None if report.rtfx is None else round(report.rtfx, 1),
        words=report.words,
        segments=report.segments,
        quality=report.quality,
        preview=preview or None,
        reused=report.reused or None,
    )
    return dataclasses.replace(status, results=_results(spec, report))


def with_model(status: Status, spec: Spec) -> Status:
    """The name is known before any worker runs."""
    return status if status.model else dataclasses.replace(status, model=ModelUsed(spec.model.display_name))


def with_report_key(status: Status, spec: Spec) -> Status:
    return dataclasses.replace(status, report_key=layout.report_key(spec))


def missing_results(spec: Spec, report: Report | None) -> list[str]:
    """Requested results that the report does not confirm, as in `json` or `json of channel 1`."""
    confirmed = {(written.format, written.channel) for written in report.objects} if report is not None else set()
    if spec.audio.channel is not Channel.SPLIT:
        return [fmt.value for fmt in spec.formats if (fmt, None) not in confirmed]
    if report is None or not report.channels:
        return ["the number of channels"]
    wanted = [(fmt, channel) for channel in range(report.channels) for fmt in spec.formats]
    return [f"{fmt.value} of channel {channel}" for fmt, channel in wanted if (fmt, channel) not in confirmed]


def duration(seconds: float) -> str:
    """3723.4 -> 1h02m03s; 63 -> 1m03s; 3.2 -> 3s."""
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    if hours:
        return f"{hours}h{minutes:02}m{rest:02}s"
    return f"{minutes}m{rest:02}s" if minutes else f"{rest}s"


def _results(spec: Spec, report: Report) -> tuple[ResultObject, ...]:
    return tuple(
        ResultObject(
            item.format.value, layout.result_key(spec, item.format, item.channel), item.size, item.etag, item.channel
        )
        for item in report.objects[:MAX_RESULTS]
    )
