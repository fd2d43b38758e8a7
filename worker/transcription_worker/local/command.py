"""The local command: files or folders in, transcripts in a folder out, without a cluster and without S3."""

import argparse
import logging
import os
import shutil
import signal
import sys
import tempfile
import time
from pathlib import Path

from transcription_api import exit_codes, reasons
from transcription_api.report import ModelUsed

from transcription_worker.device import prove_device
from transcription_worker.engines.protocol import Engine
from transcription_worker.errors import WorkerError
from transcription_worker.local.course import Course
from transcription_worker.local.display import Display
from transcription_worker.local.files import LocalFile, find_files, is_done, make_output_folder
from transcription_worker.local.options import in_options
from transcription_worker.local.pace import Pace
from transcription_worker.local.plan import Plan, make_plan
from transcription_worker.local.summary import Ended, exit_code, render_summary
from transcription_worker.model import ModelFile, fetch_named, sha256_of
from transcription_worker.paths import keep_caches_in
from transcription_worker.termination import watch_signals

# torch and whisper take seconds to import: what needs them is imported where it is used.

log = logging.getLogger(__name__)

# What a shell adds to the number of a signal that ended a program.
SIGNALLED = 128
TOOLS = ("ffmpeg", "ffprobe", "prlimit", "setpriv")
USE_CPU = "--device cpu runs on the CPU instead, many times slower"


def run_local(given: argparse.Namespace) -> int:
    """Exits with 0, or with the code of the first failed file's reason.

    Raises:
        ValueError: the options contradict each other, or there is no file; nothing was done.
    """
    # Every file has a line of its own here: of the log, warnings and errors are left.
    logging.getLogger().setLevel(logging.WARNING)
    plan = make_plan(given)
    _require_tools()
    files = find_files(plan)
    make_output_folder(plan.output_dir)
    todo = [file for file in files if not (plan.skip_existing and is_done(file, plan))]
    run = LocalRun(plan, todo, skipped=len(files) - len(todo))
    watch_signals(run.interrupt)
    try:
        return run.complete()
    except WorkerError as error:
        return _refused(error)
    except Exception:
        # The last line of defence: what is done stays, and is told.
        log.exception("%s", reasons.INTERNAL_ERROR.name)
        return run.end(exit_codes.INTERNAL)
    finally:
        run.clean()


def _require_tools() -> None:
    """What reads media, under limits. Raises ValueError."""
    missing = [name for name in TOOLS if shutil.which(name) is None]
    if missing:
        raise ValueError(f"PATH: got no {', '.join(missing)}, expected ffmpeg and util-linux to be installed")


def _refused(error: WorkerError) -> int:
    """Before the first file."""
    advice = f"\n{USE_CPU}" if error.reason.exit_code == exit_codes.DEVICE_UNUSABLE else ""
    sys.stderr.write(f"transcription-worker local: {in_options(error)}{advice}\n")
    return error.reason.exit_code or exit_codes.INTERNAL


class LocalRun:
    """One run over the files that are to be done."""

    def __init__(self, plan: Plan, files: list[LocalFile], skipped: int) -> None:
        self._plan, self._files, self._skipped = plan, files, skipped
        self._scratch = Path(tempfile.mkdtemp(prefix="transcription-"))
        self._pace = Pace([file.size for file in files])
        self._display = Display(self._pace, len(files))
        self._course = Course(plan, files, self._scratch, self._pace, self._display)

    def complete(self) -> int:
        """The exit code. Raises WorkerError where no file can be transcribed at all."""
        if self._files:
            engine = self._engine()
            self._pace.begin()
            with self._display.shown():
                self._course.run(engine)
        return self.end()

    def _engine(self) -> Engine:
        began = time.monotonic()
        plan, options = self._plan, self._plan.options
        keep_caches_in(self._scratch)
        if plan.threads is not None:
            os.environ["OMP_NUM_THREADS"] = str(plan.threads)
        device = prove_device(plan.policy)
        from transcription_worker.engines.selection import load_engine, refuse

        refuse(plan.engine, options, device)
        engine = load_engine(plan.engine, local_model(plan), device, options.decoding.precision, plan.batch)
        self._display.say(
            f"{Path(plan.model).name} on {device.name}, {engine.name}, ready after {time.monotonic() - began:.1f} s"
        )
        return engine

    def end(self, code: int | None = None, name: str | None = None) -> int:
        """Says what became of the files. `name`: the signal that ended it."""
        self._display.close()
        ended = Ended(self._files, self._skipped, self._course.tally, self._pace.read().elapsed, name)
        self._display.say(render_summary(ended))
        return exit_code(ended) if code is None else code

    def interrupt(self, name: str) -> None:
        """Ends the program as soon as the file that is being written is written."""
        with self._course.taking:
            self.end(name=name)
            self.clean()
            os._exit(SIGNALLED + signal.Signals[name])

    def clean(self) -> None:
        shutil.rmtree(self._scratch, ignore_errors=True)


def local_model(plan: Plan) -> ModelFile:
    """A file, or one of openai-whisper's, downloaded where it is not there yet.

    Raises:
        WorkerError: ModelNotFound, EndpointUnreachable.
    """
    path = Path(plan.model)
    if path.is_file():
        return ModelFile(path, ModelUsed(path.name, f"sha256:{sha256_of(path)}"))
    try:
        path, digest = fetch_named(plan.model, plan.model_dir)
    except OSError as error:
        message = f"--model-dir: got {str(plan.model_dir)!r}, expected a folder to download to: {error.strerror}"
        raise WorkerError(reasons.MODEL_NOT_FOUND, message) from error
    return ModelFile(path, ModelUsed(plan.model, f"sha256:{digest}"))
