"""The local command: files or folders in, transcripts in a folder out, without a cluster and without S3."""

import argparse
import logging
import os
import shutil
import signal
import sys
import tempfile
import threading
from functools import partial
from pathlib import Path

from transcription_api import exit_codes, reasons
from transcription_api.log_lines import one_line
from transcription_api.report import ModelUsed

from transcription_worker.device import prove_device
from transcription_worker.engines.checkpoints.model_file import ModelFile
from transcription_worker.errors import WorkerError
from transcription_worker.local.display import Display, write_if_read
from transcription_worker.local.files import find_files, is_done, largest_first, left_out, make_output_folder
from transcription_worker.local.listener import LocalListener
from transcription_worker.local.options import in_options
from transcription_worker.local.plan import Plan, make_plan
from transcription_worker.local.progress import FilesProgress
from transcription_worker.local.result_names import renaming_notice
from transcription_worker.local.summary import RunSummary, exit_code, summary_lines
from transcription_worker.model import fetch_named
from transcription_worker.model_cache import ModelCache, sha256_of
from transcription_worker.paths import keep_caches_in
from transcription_worker.pipeline.engine_loader import EngineLoader
from transcription_worker.pipeline.local_sink import LocalSink
from transcription_worker.pipeline.local_source import LocalFile, LocalSource
from transcription_worker.pipeline.pipeline import Pipeline
from transcription_worker.pipeline.pipeline_options import PipelineOptions
from transcription_worker.termination import end_program, watch_signals

# torch and whisper take seconds to import: what needs them is imported where it is used.

log = logging.getLogger(__name__)

# How long a program that is told to end waits for somebody to read its last lines.
LAST_LINES_SECONDS = 2.0
# What a shell adds to the number of a signal that ended a program.
SIGNALLED = 128
TOOLS = ("ffmpeg", "ffprobe", "prlimit", "setpriv")
USE_CPU = "--device cpu runs on the CPU instead, many times slower"


def run_local(given: argparse.Namespace) -> int:
    """Return 0 or the exit code of the reason of the largest file that failed.

    Raises:
        ValueError: the options contradict each other, or there is no file; nothing was done.
    """
    # Every file has a line of its own, so the log is limited to warnings and errors.
    logging.getLogger().setLevel(logging.WARNING)
    plan = make_plan(given)
    _require_tools()
    found = find_files(plan)
    make_output_folder(plan.output_dir)
    todo = largest_first(file for file in found.files if not (plan.skip_existing and is_done(file, plan)))
    run = LocalRun(plan, todo, len(found.files) - len(todo), found.left_out)
    run.say(*left_out(found), *filter(None, [renaming_notice(found.files)]))
    watch_signals(run.interrupt)
    try:
        return run.complete()
    except WorkerError as error:
        code = _report_failure(error)
        return run.end(code) if run.has_outcomes else code
    except Exception:
        # The last line of defence: results that are written stay, and the summary tells of them.
        log.exception("%s", reasons.INTERNAL_ERROR.name)
        return run.end(exit_codes.INTERNAL)
    finally:
        run.clean()


def _require_tools() -> None:
    """Make sure that the programs that read media are there.

    Raises:
        ValueError: some are not on PATH.
    """
    missing = [name for name in TOOLS if shutil.which(name) is None]
    if missing:
        raise ValueError(f"PATH: got no {', '.join(missing)}, expected ffmpeg and util-linux to be installed")


def _report_failure(error: WorkerError) -> int:
    """Say why no file, or no further file, could be transcribed, and return the exit code."""
    unusable = error.reason.exit_code == exit_codes.DEVICE_UNUSABLE or error.reason is reasons.GPU_FAILED
    advice = f"\n{USE_CPU}" if unusable else ""
    words = f"transcription-worker local: {one_line(in_options(error))}{advice}\n"
    write_if_read(sys.stderr, lambda stream: stream.write(words))
    return error.reason.exit_code or exit_codes.INTERNAL


class LocalRun:
    """One run over the files that are to be transcribed."""

    def __init__(self, plan: Plan, files: list[LocalFile], skipped: int, left_out: int) -> None:
        self._plan, self._files, self._skipped, self._left_out = plan, files, skipped, left_out
        self._scratch = Path(tempfile.mkdtemp(prefix="transcription-"))
        self._progress = FilesProgress([file.size for file in files])
        self._display = Display(self._progress, len(files))
        self._listener = LocalListener(self._progress, self._display, self._scratch)
        self._pipeline: Pipeline[LocalFile] | None = None
        self._interrupted = False

    def say(self, *lines: str) -> None:
        """Write these lines to stdout."""
        for line in lines:
            self._display.say(line)

    def complete(self) -> int:
        """Transcribe all files and return the exit code.

        Raises:
            WorkerError: no file can be transcribed at all, or no further one, since the GPU has failed.
        """
        if self._files:
            self._pipeline = self._make_pipeline()
            with self._display.shown():
                self._pipeline.run()
        return self.end()

    @property
    def has_outcomes(self) -> bool:
        """Whether a file is done or has failed."""
        return bool(self._listener.counts.done or self._listener.counts.failures)

    def _make_pipeline(self) -> "Pipeline[LocalFile]":
        plan, options = self._plan, self._plan.options
        keep_caches_in(self._scratch)
        if plan.threads is not None:
            os.environ["OMP_NUM_THREADS"] = str(plan.threads)
        loader = EngineLoader(plan.engine, options, prove_device(plan.policy), partial(local_model, plan), plan.batch)
        loader.check()
        sink = LocalSink(plan.formats, plan.subtitles, options.quality.policy, plan.audio.channel)
        settings = PipelineOptions(options, plan.audio, self._scratch)
        return Pipeline(LocalSource(self._files), sink, loader, settings, self._listener)

    def end(self, code: int | None = None, signal_name: str | None = None) -> int:
        """Say what became of the files and return the exit code: `code`, or the one that their outcomes give."""
        self._display.close()
        seconds = self._progress.snapshot().elapsed
        counts = self._listener.counts
        waited = self._listener.waited
        summary = RunSummary(len(self._files), self._skipped, counts, seconds, signal_name, self._left_out, waited)
        self.say(*summary_lines(summary))
        return exit_code(summary) if code is None else code

    def interrupt(self, signal_name: str) -> None:
        """End the program as soon as the files that are being written are written, and at once if it is told a second time.

        It returns at once, so that the second signal is heard.
        """
        if self._interrupted:
            self._leave(signal_name)
        else:
            self._interrupted = True
            threading.Thread(target=self._end_early, args=(signal_name,), name="end", daemon=True).start()

    def _end_early(self, signal_name: str) -> None:
        if self._pipeline is not None:
            self._pipeline.write_gate.close()
        # Where nobody reads stdout, as behind a pager, whoever writes to it waits, and so do all others.
        told = {"signal_name": signal_name}
        last_lines = threading.Thread(target=self.end, kwargs=told, name="last lines", daemon=True)
        last_lines.start()
        last_lines.join(LAST_LINES_SECONDS)
        self._leave(signal_name)

    def _leave(self, signal_name: str) -> None:
        self.clean()
        end_program(SIGNALLED + signal.Signals[signal_name])

    def clean(self) -> None:
        """Delete the scratch folder."""
        shutil.rmtree(self._scratch, ignore_errors=True)


def local_model(plan: Plan) -> ModelFile:
    """Return the model's file: the path that was given, or one of openai-whisper's models, downloaded if need be.

    Raises:
        WorkerError: ModelNotFound, EndpointUnreachable.
    """
    path = Path(plan.model)
    if path.is_file():
        return ModelFile(path, ModelUsed(path.name, f"sha256:{sha256_of(path)}"))
    try:
        path, digest = fetch_named(plan.model, ModelCache(plan.model_dir))
    except OSError as error:
        message = f"--model-dir: got {str(plan.model_dir)!r}, expected a folder to download to: {error.strerror}"
        raise WorkerError(reasons.MODEL_NOT_FOUND, message) from error
    return ModelFile(path, ModelUsed(plan.model, f"sha256:{digest}"))
