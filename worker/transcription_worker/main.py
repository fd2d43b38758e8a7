"""The command: run (one task, from the environment), local (files, without a cluster) and doctor (the device report)."""

import argparse
import logging
import os
import sys
from collections.abc import Callable
from functools import partial

from transcription_api import exit_codes, names, reasons
from transcription_api.report import Report, failure
from transcription_api.spec import DevicePolicy, Spec
from transcription_api.task import Task, parse_task

from transcription_worker.errors import WorkerError
from transcription_worker.local.options import add_options, spell_with_dashes
from transcription_worker.logs import log_about, start_logging
from transcription_worker.paths import Paths, container_paths, point_caches_at, progress_port
from transcription_worker.progress import Board, serve_progress
from transcription_worker.termination import TerminationMessage, watch_signals
from transcription_worker.threads import wait_briefly

# torch takes seconds to import: what needs it is imported inside the functions, after signals are watched.

log = logging.getLogger(__name__)


def main() -> None:
    """Exits with 0 or the code of the failure's reason (transcription_api.exit_codes)."""
    arguments = make_parser().parse_args(spell_with_dashes(sys.argv[1:]))
    start_logging()
    wait_briefly()
    commands: dict[str, Callable[[], int]] = {
        "run": run_task,
        "doctor": partial(_doctor, arguments),
        "local": partial(_local, arguments),
    }
    sys.exit(commands[arguments.command]())


def make_parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="transcription-worker", allow_abbrev=False)
    commands = parser.add_subparsers(dest="command", required=True)
    commands.add_parser("run", help=f"carry out the task in ${names.ENV_TASK}")
    doctor = commands.add_parser("doctor", help="print what can run a transcription here, and what is in the way")
    doctor.add_argument("--json", action="store_true", help="as one JSON object")
    doctor.add_argument(
        "--policy",
        choices=[policy.value for policy in DevicePolicy],
        default=DevicePolicy.REQUIRE_GPU.value,
        help=f"what to judge by; exit code {exit_codes.DEVICE_UNUSABLE} if it is not met",
    )
    local = commands.add_parser(
        "local",
        help="transcribe files of this machine, without a cluster",
        usage="%(prog)s [options] FILE...",
        description="Options have whisper's names where they mean the same; --beam_size is --beam-size.",
        allow_abbrev=False,
    )
    add_options(local)
    local.set_defaults(refuse=local.error)
    return parser


def _local(arguments: argparse.Namespace) -> int:
    from transcription_worker.local.command import run_local

    try:
        return run_local(arguments)
    except ValueError as error:
        arguments.refuse(str(error))
        raise


def _doctor(arguments: argparse.Namespace) -> int:
    from transcription_worker.doctor import run_doctor

    return run_doctor(DevicePolicy(arguments.policy), arguments.json)


def run_task() -> int:
    """One task: its report goes to the termination message, its outcome is the exit code."""
    paths = container_paths()
    known: dict[str, object] = {}
    message = TerminationMessage(paths.termination_log, lambda: dict(known))
    watch_signals(message.interrupt)
    report = _report(paths, known)
    message.write(report)
    return _exit_code(report)


def _report(paths: Paths, known: dict[str, object]) -> Report:
    try:
        task = _task()
        log_about({"namespace": task.namespace, "name": task.name, "uid": task.uid})
        report = _run(_spec(task), paths, known)
        _log_end(report)
        return report
    except Exception as error:  # noqa: BLE001 - whatever it is, the report says what became of the task
        return _failed(error, known)


def _log_end(report: Report) -> None:
    if report.reason is not None:  # written, and yet refused
        log.error("%s: %s", report.reason, report.message)
        return
    log.info("complete: %s", "reused" if report.reused else f"{report.segments} segments, RTFx {report.rtfx or 0:.1f}")


def _failed(error: Exception, known: dict[str, object]) -> Report:
    if isinstance(error, WorkerError):
        log.error("%s: %s", error.reason.name, error.message)
        log.info("%s", error.reason.advice)
        return failure(error.reason, error.message, **known)
    # The last line of defence: whatever it is, the report says that it is a defect. Its words may hold data.
    log.error("%s", reasons.INTERNAL_ERROR.name, exc_info=error)
    return failure(reasons.INTERNAL_ERROR, f"unexpected {type(error).__name__}", **known)


def _run(spec: Spec, paths: Paths, known: dict[str, object]) -> Report:
    board = Board()
    server = serve_progress(board, progress_port())
    try:
        paths.scratch.mkdir(parents=True, exist_ok=True)
        point_caches_at(paths.scratch)
        from transcription_worker.run import Run

        report = Run(spec, paths, board, known).complete()
        board.enter("done")
        return report
    except OSError as error:
        from transcription_worker.fetch import is_no_space

        if not is_no_space(error):
            raise
        raise WorkerError(reasons.NO_SPACE_LEFT, f"{error.filename or paths.scratch}: no space left") from error
    finally:
        if server is not None:
            server.shutdown()


def _task() -> Task:
    text = os.environ.get(names.ENV_TASK)
    if text is None:
        raise WorkerError(reasons.INVALID_TASK, f"environment: {names.ENV_TASK} is not set, expected a task as JSON")
    try:
        return parse_task(text)
    except ValueError as error:
        raise WorkerError(reasons.INVALID_TASK, f"{names.ENV_TASK}: {error}") from error


def _spec(task: Task) -> Spec:
    try:
        return task.parsed()
    except ValueError as error:
        raise WorkerError(reasons.INVALID_TASK, str(error)) from error


def _exit_code(report: Report) -> int:
    if report.reason is None:
        return exit_codes.OK
    code = reasons.BY_NAME[report.reason].exit_code
    return exit_codes.INTERNAL if code is None else code
