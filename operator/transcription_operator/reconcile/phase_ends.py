"""How the phases of the work over many files end: what the status keeps of the plan, the transcription and the account."""

import dataclasses
from collections.abc import Iterable

from transcription_api import layout, names, reasons
from transcription_api.report import MAX_WARNINGS, FileCounts, PlanSummary, ReasonCount, Report
from transcription_api.spec import Spec
from transcription_api.status import ConditionType, Failure, PhaseSeconds, Status

from transcription_operator.models.objects import JobView, Owner
from transcription_operator.models.times import format_duration, seconds_between
from transcription_operator.reconcile import status_transitions as transitions
from transcription_operator.reconcile.termination import make_failure

# Reasons that the message of a failure names: the most frequent ones.
MAX_NAMED = 3


def end_phase(status: Status, spec: Spec, job: JobView, report: Report, owner: Owner, at: str) -> Status:
    """The status after the phase plan or collect, whose report says what `results.missing_results` asks for."""
    status = _with_seconds(status, job, at)
    if job.phase == names.PHASE_PLAN and report.plan is not None:
        return _end_plan(status, spec, report.plan, at)
    if job.phase == names.PHASE_COLLECT and report.files is not None:
        key = layout.account_key(spec, owner.key.name, owner.uid)
        return _end_collection(_with_account(status, report, key), spec, report.files, at)
    return transitions.mark_failed(status, make_failure(reasons.RESULT_INCOMPLETE, f"phase {job.phase}"), at)


def _end_plan(status: Status, spec: Spec, plan: PlanSummary, at: str) -> Status:
    message = tell_plan(plan)
    counts = FileCounts(total=plan.files, reused=plan.reused, failed=plan.refused, skipped=plan.skipped)
    status = with_files(dataclasses.replace(status, plan=plan), counts)
    status = transitions.with_condition(status, ConditionType.PLANNED, True, reasons.PLAN_READY, message, at)
    if spec.dry_run:
        return transitions.mark_complete(status, f"dry run: {message}", at, reasons.DRY_RUN)
    if plan.to_transcribe == 0:
        return _begin_collection(status, "there is nothing to transcribe", at)
    return transitions.mark_pending(status, reasons.WAITING_FOR_POD, "the plan is ready; its files are next", at)


def end_transcription(status: Status, job: JobView | None, failure: Failure | None, at: str) -> Status:
    """The status after the phase transcribe. A failure of its Job as a whole is kept while the account is written."""
    if job is None:
        return _begin_collection(dataclasses.replace(status, failure=failure), "no Job transcribes any more", at)
    status = dataclasses.replace(status, rtfx=_speed_of_all(status, job, at))
    message = f"{job.succeeded} of {job.completions} shards succeeded"
    message += f", {job.failed_indexes} have no attempt left" if job.failed_indexes else ""
    message += f"; {failure.reason}: {failure.message}" if failure is not None else ""
    return _begin_collection(_with_seconds(dataclasses.replace(status, failure=failure), job, at), message, at)


def _speed_of_all(status: Status, job: JobView, at: str) -> float | None:
    """The speed of all pods together: seconds of audio in a second."""
    seconds = seconds_of_running(status, job, at)
    if status.plan is None or seconds <= 0:
        return None
    return round(status.plan.audio_seconds * job.succeeded / job.completions / seconds, 1)


def seconds_of_running(status: Status, job: JobView, at: str) -> float:
    """The seconds in which shards were transcribed: since the Job's first pod ran.

    Pauses are in it: of a Job that is resumed nothing tells how much it had done before, and that counts as done too.
    """
    return seconds_between(job.created, at) - ((status.phase_seconds or PhaseSeconds()).queue or 0.0)


def _begin_collection(status: Status, message: str, at: str) -> Status:
    status = transitions.mark_pending(status, reasons.WAITING_FOR_POD, "the account of the files is next", at)
    status = dataclasses.replace(status, active_pods=None)
    return transitions.with_condition(status, ConditionType.COLLECTED, False, reasons.COLLECTING, message, at)


def _with_account(status: Status, report: Report, key: str) -> Status:
    """Copy what the account tells of all files. The speed stays that of all pods together."""
    seconds = report.audio_seconds
    return dataclasses.replace(
        status,
        report_key=key,
        audio_seconds=seconds,
        audio_duration=None if seconds is None else format_duration(seconds),
        wall_seconds=report.wall_seconds,
        audio_wait_share=report.audio_wait_share,
        words=report.words,
        # Beside what the pods that transcribed had to give up.
        warnings=tuple(dict.fromkeys((*(report.warnings or ()), *(status.warnings or ()))))[:MAX_WARNINGS] or None,
        quality=report.quality,
    )


def _end_collection(status: Status, spec: Spec, files: FileCounts, at: str) -> Status:
    """Finish the resource with the failure of the transcription, or as the number of failed files leads to.

    A transcription whose Job failed although every file has its results, such as by a deadline that passed while the last pod
    ended, has failed nothing.
    """
    message = tell_files(files)
    status = with_files(status, files)
    status = transitions.with_condition(status, ConditionType.COLLECTED, True, reasons.FILES_COUNTED, message, at)
    if status.plan is not None and status.plan.files != files.total:
        why = f"the account has {files.total} files, and the plan {status.plan.files}"
        return transitions.mark_failed(status, make_failure(reasons.RESULT_INCOMPLETE, why), at)
    if status.failure is not None and files.failed:
        return transitions.mark_failed(status, status.failure, at)
    status = dataclasses.replace(status, failure=None)
    allowed = spec.failure_policy.allowed_failures(files.total)
    if files.failed > allowed:
        return transitions.mark_failed(
            status, make_failure(reasons.PARTIALLY_FAILED, _tell_failures(files, allowed)), at
        )
    return transitions.mark_complete(status, message, at)


def with_files(status: Status, files: FileCounts) -> Status:
    """Set the account of the files, and what is shown of it to people."""
    return dataclasses.replace(status, files=files, files_done=f"{files.done + files.reused}/{files.total}")


def tell_plan(plan: PlanSummary) -> str:
    """The plan in words."""
    audio = f", {format_duration(plan.audio_seconds)} of audio" if plan.audio_seconds else ""
    parts = [f"{plan.files} files", f"{plan.to_transcribe} to transcribe in {plan.shards} shards{audio}"]
    parts += [f"{count} {name}" for name, count in (("reused", plan.reused), ("refused", plan.refused)) if count]
    return "; ".join([*parts, *([f"{plan.skipped} objects skipped{_tell(plan.skipped_by)}"] if plan.skipped else [])])


def tell_files(files: FileCounts) -> str:
    """The account in words."""
    return f"{files.total} files: {files.done} transcribed, {files.reused} reused, {files.failed} failed"


def _tell_failures(files: FileCounts, allowed: int) -> str:
    return f"{files.failed} of {files.total} files failed, and {allowed} may{_tell(files.by_reason)}"


def _tell(counts: Iterable[ReasonCount]) -> str:
    most = sorted(counts, key=lambda item: -item.count)[:MAX_NAMED]
    return f": {', '.join(f'{item.reason} {item.count}' for item in most)}" if most else ""


def _with_seconds(status: Status, job: JobView, at: str) -> Status:
    """Set how long the Job's phase took. The attempts of the next phase are counted anew: see `disruptions`."""
    known = status.phase_seconds or PhaseSeconds()
    waited = (known.queue or 0.0) if job.has_shards else 0.0
    seconds = {str(job.phase): max(0.0, seconds_between(job.created, at) - waited)}
    status = dataclasses.replace(status, phase_seconds=dataclasses.replace(known, **seconds))
    if status.disruptions is None or not status.disruptions.evicted:
        return status
    counts = status.disruptions
    counts = dataclasses.replace(counts, disrupted=counts.disrupted + counts.evicted, evicted=0)
    return dataclasses.replace(status, disruptions=counts)
