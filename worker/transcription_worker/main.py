"""Run the worker's commands.

They are run (one task, from the environment), local (files, without a cluster) and doctor (a report on the device).
"""

import argparse
import io
import sys
from collections.abc import Callable
from functools import partial

from transcription_api import exit_codes, names
from transcription_api.spec import DevicePolicy

from transcription_worker import cuda_driver
from transcription_worker.doctor_nodes import print_nodes
from transcription_worker.job.command import run_task
from transcription_worker.local.options import add_options, spell_with_dashes
from transcription_worker.logs import start_logging
from transcription_worker.shortage import allow_open_files
from transcription_worker.termination import end_program
from transcription_worker.threads import wait_briefly

# torch takes seconds to import, so modules that need it are imported inside functions, after signals are watched.


def main() -> None:
    """Run the command that was asked for.

    Raises:
        SystemExit: with 0 or the exit code of the failure's reason; see transcription_api.exit_codes.
    """
    escape_what_no_stream_holds()
    arguments = make_parser().parse_args(spell_with_dashes(sys.argv[1:]))
    start_logging()
    wait_briefly()
    allow_open_files()
    commands: dict[str, Callable[[], int]] = {
        "run": run_task,
        "doctor": partial(_doctor, arguments),
        "local": partial(_local, arguments),
    }
    code = commands[arguments.command]()
    if cuda_driver.hangs():
        sys.stdout.flush()
        end_program(code)
    sys.exit(code)


def escape_what_no_stream_holds() -> None:
    """Have stdout and stderr escape characters that their encoding lacks, so that no name of a file ends the program."""
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="backslashreplace")


def make_parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="transcription-worker", allow_abbrev=False)
    commands = parser.add_subparsers(dest="command", required=True)
    commands.add_parser("run", help=f"carry out the task in ${names.ENV_TASK}")
    doctor = commands.add_parser("doctor", help="print what can run a transcription here, and what is in the way")
    doctor.add_argument("--json", action="store_true", help="as one JSON object")
    doctor.add_argument(
        "--nodes",
        action="store_true",
        help="a table of all nodes, from the pods of examples/doctor-nodes.yaml as JSON on standard input",
    )
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
    local.set_defaults(usage_error=local.error)
    return parser


def _local(arguments: argparse.Namespace) -> int:
    from transcription_worker.local.command import run_local

    try:
        return run_local(arguments)
    except ValueError as error:
        arguments.usage_error(str(error))
        raise  # unreachable: usage_error exits


def _doctor(arguments: argparse.Namespace) -> int:
    if arguments.nodes:
        return print_nodes()
    from transcription_worker.doctor import run_doctor

    return run_doctor(DevicePolicy(arguments.policy), arguments.json)
