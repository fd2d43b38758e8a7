"""Write the pod's termination message once, and handle the signals that end the program early."""

import contextlib
import logging
import os
import shutil
import signal
import socket
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import NoReturn

from transcription_api import exit_codes, reasons
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


# What is done before a signal ends the program: see called_on_interrupt.
_last_acts: list[Callable[[], None]] = []
# Seconds that they may take, of those that the kubelet leaves until SIGKILL.
LAST_ACTS_SECONDS = 8.0


@contextlib.contextmanager
def called_on_interrupt(act: Callable[[], None]) -> Iterator[None]:
    """Call `act` if a signal ends the program inside the block; the program does not wait for it for long."""
    _last_acts.append(act)
    try:
        yield
    finally:
        _last_acts.remove(act)


def _do_last_acts() -> None:
    for act in tuple(_last_acts):
        thread = threading.Thread(target=act, name="last act", daemon=True)
        thread.start()
        thread.join(LAST_ACTS_SECONDS)


class TerminationMessage:
    """Writes one report as the termination message: the run's own, or Interrupted if a signal comes first."""

    def __init__(self, termination_log: Path, known: Callable[[], dict[str, object]]) -> None:
        self._path = termination_log
        self._known = known
        self._lock = threading.Lock()
        self._written = False

    def write(self, report: Report) -> bool:
        """Write the report unless another one was written before; return whether it was written."""
        with self._lock:
            if self._written:
                return False
            self._written = True
            self._write_file(report)
            return True

    def _write_file(self, report: Report) -> None:
        try:
            self._path.write_bytes(encode_report(report))
        except OSError as error:
            # Outside Kubernetes there is no such file, and the exit code and the log must do.
            log.warning("no termination message: %s: %s", self._path, error.strerror)

    def interrupt(self, name: str) -> None:
        """End the program at once, whatever its other threads do; return only if a report has been written already."""
        report = failure(reasons.INTERRUPTED, f"{name} came before the end", **self._known())
        if self.write(report):
            log.warning("%s: the run ends here", name)
            _do_last_acts()
            end_program(exit_codes.INTERRUPTED)


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
