"""Write the pod's termination message once, and handle the signals that end the program early."""

import contextlib
import logging
import math
import os
import shutil
import signal
import socket
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import NoReturn

from transcription_api import exit_codes, names, reasons
from transcription_api.report import Report, encode_report, failure

log = logging.getLogger(__name__)


# Folders that must not outlive the program: see removed_on_interrupt.
_folders: set[str] = set()


@contextlib.contextmanager
def removed_on_interrupt(folder: str) -> Iterator[None]:
    """Remove the folder if a signal ends the program inside the block, where no `finally` runs any more."""
    _folders.add(folder)
    try:
        yield
    finally:
        _folders.discard(folder)


# Shares of the grace period, which is the time from SIGTERM to SIGKILL. What must not be lost is saved first and within SAVE,
# since a node that shuts down may kill earlier than the pod says. What is nearly done is finished until FINISH, and saved
# within SAVE again, so that a tenth is left.
SAVE_SHARE, FINISH_SHARE = 0.25, 0.65
# A run whose work is done has until here to write its report, which takes moments: the tenth is left for the program's end.
REPORT_SHARE = FINISH_SHARE + SAVE_SHARE


@dataclass(frozen=True)
class _LastActs:
    """What is done before a signal ends the program; see `on_interrupt`."""

    save: Callable[[], None]
    finish: Callable[[float], None]
    is_done: Callable[[], bool]


_last_acts: list[_LastActs] = []


def _finish_nothing(_: float) -> None:
    """Finish nothing: nothing is under way that could be."""


def _never() -> bool:
    """Say that more is to be done."""
    return False


@contextlib.contextmanager
def on_interrupt(
    save: Callable[[], None],
    finish: Callable[[float], None] = _finish_nothing,
    is_done: Callable[[], bool] = _never,
) -> Iterator[None]:
    """Call `save` if a signal ends the program inside the block, then `finish`, and then `save` again.

    `finish` gets the time of time.monotonic by which it is to have returned. The program waits for neither for longer than
    the grace period allows: each runs in a thread that ends with the program. `is_done` says afterwards whether the run has
    done all of its work, so that it is let come to its end by itself.
    """
    acts = _LastActs(save, finish, is_done)
    _last_acts.append(acts)
    try:
        yield
    finally:
        _last_acts.remove(acts)


def grace_seconds() -> float:
    """Return the seconds that the kubelet leaves between SIGTERM and SIGKILL."""
    try:
        told = float(os.environ.get(names.ENV_TERMINATION_GRACE_SECONDS, ""))
    except ValueError:
        told = math.nan
    return told if 0 <= told < math.inf else float(names.TERMINATION_GRACE_SECONDS)


def do_last_acts(grace: float) -> bool:
    """Do all that `on_interrupt` was told, within so many seconds. Return whether the run has done all of its work."""
    acts = tuple(_last_acts)
    finish_time = time.monotonic() + grace * FINISH_SHARE
    _call_all([one.save for one in acts], grace * SAVE_SHARE)
    _call_all([partial(one.finish, finish_time) for one in acts], finish_time - time.monotonic())
    _call_all([one.save for one in acts], grace * SAVE_SHARE)
    return any(one.is_done() for one in acts)


def _call_all(acts: Sequence[Callable[[], None]], seconds: float) -> None:
    """Call all of them at the same time, and wait for so long at most."""
    until = time.monotonic() + seconds
    threads = [threading.Thread(target=act, name="last act", daemon=True) for act in acts]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(max(0.0, until - time.monotonic()))


class TerminationMessage:
    """Writes one report as the termination message: the run's own, or Interrupted if a signal comes before the end.

    After a signal the run may still come to its end, and then a report of its success counts.
    """

    def __init__(self, termination_log: Path, known: Callable[[], dict[str, object]]) -> None:
        self._path = termination_log
        self._known = known
        self._lock = threading.Lock()
        self._written = self._interrupted = self._work_done = False
        self._ended = threading.Event()

    def write(self, report: Report) -> bool:
        """Write the run's report; return whether it counts. After a signal a failure, which may come of it, does not."""
        with self._lock:
            self._ended.set()
            if self._written or (self._interrupted and report.reason is not None):
                return False
            self._written = True
            self._write_file(report)
            return True

    def work_done(self) -> None:
        """Say that nothing is left to do but to write the report, so that a signal waits for it."""
        self._work_done = True

    def _write_file(self, report: Report) -> None:
        try:
            self._path.write_bytes(encode_report(report))
        except OSError as error:
            # Outside Kubernetes there is no such file, and the exit code and the log must do.
            log.warning("no termination message: %s: %s", self._path, error.strerror)

    def interrupt(self, name: str) -> None:
        """End the program within the grace period, whatever its other threads do; return only if the run has ended by itself."""
        if not self._write_interrupted(name):
            return
        grace = grace_seconds()
        report_time = time.monotonic() + grace * REPORT_SHARE
        log.warning("%s: the run ends within %.0f s", name, grace)
        if do_last_acts(grace) or self._work_done:
            self._ended.wait(max(0.0, report_time - time.monotonic()))
        with self._lock:
            if self._written:
                return
            self._written = True
        end_program(exit_codes.INTERRUPTED)

    def _write_interrupted(self, name: str) -> bool:
        """Write the message before anything else, since nobody knows when the kubelet kills."""
        with self._lock:
            if not self._written:
                self._interrupted = True
                self._write_file(failure(reasons.INTERRUPTED, f"{name} came before the end", **self._known()))
            return not self._written


def end_program(code: int) -> NoReturn:
    """End the program at once, whatever its threads do, and leave no unfinished files behind."""
    for folder in tuple(_folders):
        shutil.rmtree(folder, ignore_errors=True)
    os._exit(code)


def watch_signals(interrupt: Callable[[str], None]) -> None:
    """Call `interrupt` with the signal's name when SIGTERM or SIGINT arrives, from a thread that waits for them.

    Python runs a signal's handler in the main thread, between two bytecodes, so that a long call into torch would hold
    it up. The C handler writes a byte to the file descriptor of set_wakeup_fd at once, which wakes the thread. Without a
    handler SIGTERM would not end the program at all if it is process 1.
    """
    receiver, sender = socket.socketpair()
    sender.setblocking(False)
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: None)
    signal.set_wakeup_fd(sender.fileno(), warn_on_full_buffer=False)

    def wait() -> None:
        # Hold `sender` as long as this thread lives: if it were closed, no signal would be written to it.
        with sender:
            while byte := receiver.recv(1):
                if byte[0] in (signal.SIGTERM, signal.SIGINT):
                    interrupt(signal.Signals(byte[0]).name)

    threading.Thread(target=wait, name="signals", daemon=True).start()
