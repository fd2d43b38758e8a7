"""The command run: carries out the task in the environment; its outcome is the exit code and the termination message."""

import logging
import os
from collections.abc import Callable

from transcription_api import exit_codes, names, reasons
from transcription_api.report import Report, failure
from transcription_api.spec import Spec
from transcription_api.task import Task

from transcription_worker.ca_bundle import check_ca_bundle
from transcription_worker.errors import WorkerError
from transcription_worker.job.task_variable import parse_spec, read_task, tell_unknown_fields
from transcription_worker.logs import log_about
from transcription_worker.paths import Paths, container_paths, point_caches_at, progress_port
from transcription_worker.progress import ProgressTracker, serve_progress
from transcription_worker.shortage import shortage
from transcription_worker.termination import TerminationMessage, end_program, watch_signals

# boto3 takes long to import: what needs it is imported where it is used, after signals are watched.

log = logging.getLogger(__name__)

# What is written to a cache that pods share can be changed by the group too: where the platform chooses the user, as OpenShift
# does, it is another one in each namespace, and the group is the same.
GROUP_MAY_WRITE = 0o002


def run_task() -> int:
    """Carry out one task, write its report to the termination message and return the exit code."""
    os.umask(GROUP_MAY_WRITE)
    paths = container_paths()
    known: dict[str, object] = {}
    message = TerminationMessage(paths.termination_log, lambda: dict(known))
    watch_signals(message.interrupt)
    report = _report(paths, known, message.work_done)
    if not message.write(report):
        return exit_codes.INTERRUPTED
    if report.reason == reasons.GPU_FAULT.name:
        # What the process holds on the GPU cannot be freed any more: CUDA may abort it or wait for ever at its end.
        end_program(_exit_code(report))
    return _exit_code(report)


def _report(paths: Paths, known: dict[str, object], work_done: Callable[[], None]) -> Report:
    """`known` collects the fields of the report as they become known: a failure tells them too."""
    try:
        task = read_task()
        log_about({"namespace": task.namespace, "name": task.name, "uid": task.uid})
        tell_unknown_fields(task)
        report = _carry_out(task, parse_spec(task), paths, known, work_done)
        _log_report(report)
        return report
    except Exception as error:  # noqa: BLE001 - whatever it is, the report says what became of the task
        return _failure_report(error, known)


def _log_report(report: Report) -> None:
    for words in report.warnings or ():
        log.warning("%s", words)
    if report.reason is not None:  # the results are written, and yet fail the task
        log.error("%s: %s", report.reason, report.message)
        return
    if report.files is not None:
        counts = report.files
        log.info("complete: %d files done, %d reused, %d failed", counts.done, counts.reused, counts.failed)
    elif report.plan is None:
        log.info(
            "complete: %s", "reused" if report.reused else f"{report.segments} segments, RTFx {report.rtfx or 0:.1f}"
        )


def _failure_report(error: Exception, known: dict[str, object]) -> Report:
    if isinstance(error, WorkerError):
        log.error("%s: %s", error.reason.name, error.message)
        log.info("%s", error.reason.advice)
        return failure(error.reason, error.message, **known)
    # The last line of defence: the report says that it is a defect. The exception's own words may hold data.
    log.error("%s", reasons.INTERNAL_ERROR.name, exc_info=error)
    return failure(reasons.INTERNAL_ERROR, f"unexpected {type(error).__name__}", **known)


def _carry_out(task: Task, spec: Spec, paths: Paths, known: dict[str, object], work_done: Callable[[], None]) -> Report:
    tracker = ProgressTracker()
    server = serve_progress(tracker, progress_port())
    try:
        paths.scratch.mkdir(parents=True, exist_ok=True)
        point_caches_at(paths.scratch)
        check_ca_bundle()
        report = _of_phase(task, spec, paths, tracker, known)
        work_done()
        tracker.enter_stage("done")
        return report
    except (OSError, RuntimeError, MemoryError) as error:
        if (lacking := shortage(error, paths.scratch)) is None:
            raise
        raise lacking from error
    finally:
        if server is not None:
            server.shutdown()


def _of_phase(task: Task, spec: Spec, paths: Paths, tracker: ProgressTracker, known: dict[str, object]) -> Report:
    """Do what the task's phase says. Processes that read no model import none of what reads one."""
    if task.phase == names.PHASE_PLAN:
        from transcription_worker.batch.planning import plan_files

        return plan_files(task, spec, paths, tracker)
    if task.phase == names.PHASE_COLLECT:
        from transcription_worker.batch.collecting import collect_files

        return collect_files(task, spec, paths, tracker)
    if task.phase == names.PHASE_DELETE:
        from transcription_worker.batch.deletion import delete_results

        return delete_results(task, spec, paths, tracker)
    if task.phase == names.PHASE_TRANSCRIBE:
        from transcription_worker.job.shard import transcribe_files

        return transcribe_files(task, spec, _shard_number(), paths, tracker, known)
    if task.phase is not None:
        known_phases = (*names.PHASES, names.PHASE_DELETE)
        raise WorkerError(reasons.INVALID_TASK, f"task.phase: got {task.phase!r}, expected one of {known_phases}")
    from transcription_worker.job.transcription import transcribe_object

    return transcribe_object(task, spec, paths, tracker, known)


def _shard_number() -> int:
    text = os.environ.get(names.ENV_INDEX, "")
    if not text.isdecimal():
        message = f"environment: {names.ENV_INDEX}: got {text!r}, expected the index of a pod of an Indexed Job"
        raise WorkerError(reasons.INVALID_TASK, message)
    return int(text)


def _exit_code(report: Report) -> int:
    """The exit code of the report's reason.

    The Job's podFailurePolicy does not count INTERRUPTED, so that only a signal to this process may give it: a part of the
    pipeline that was interrupted otherwise would be tried again for ever.
    """
    if report.reason is None:
        return exit_codes.OK
    code = reasons.BY_NAME[report.reason].exit_code
    return exit_codes.INTERNAL if code in (None, exit_codes.INTERRUPTED) else code
