"""Show the local command's progress: a line for each file that is done and, on a terminal, a bar below them."""

import contextlib
import os
import sys
import threading
import time
from collections.abc import Callable, Iterator
from typing import TextIO

from tqdm import tqdm
from tqdm.contrib.logging import logging_redirect_tqdm
from transcription_api.log_lines import one_line

from transcription_worker.local.progress import FilesProgress, ProgressSnapshot

# The seconds between two drawings of the bar, and between two lines of progress without a terminal.
BAR_SECONDS = 0.2
LINE_SECONDS = 30.0

BAR_FORMAT = "{desc} |{bar}|"


class Display:
    """Writes lines about files to stdout, and the bar or occasional lines of progress to stderr.

    Its methods may be called from several threads.
    """

    def __init__(self, progress: FilesProgress, files: int) -> None:
        self._progress = progress
        self._files = files
        self._lock = threading.RLock()
        self._drawn = time.monotonic()
        self._bar: tqdm | None = None

    @contextlib.contextmanager
    def shown(self) -> Iterator[None]:
        """Show the bar inside the block, with log lines above it. Without a terminal there is no bar."""
        if not sys.stderr.isatty():
            yield
            return
        tqdm.monitor_interval = 0
        self._bar = tqdm(
            desc="opening", total=1.0, bar_format=BAR_FORMAT, dynamic_ncols=True, leave=False, disable=False
        )
        try:
            with logging_redirect_tqdm():
                self.draw(at_once=True)
                yield
        finally:
            self.close()

    def close(self) -> None:
        """Remove the bar. Later lines are written without it."""
        with self._lock:
            if (bar := self._bar) is not None:
                self._bar = None
                write_if_read(sys.stderr, lambda _: bar.close())

    def say(self, line: str) -> None:
        """Write a line to stdout, above the bar. What would end the line or drive the terminal is escaped."""
        text = one_line(line)
        with self._lock:
            if self._bar is None:
                write_if_read(sys.stdout, lambda stream: stream.write(text + "\n"))
            else:
                write_if_read(sys.stdout, lambda stream: tqdm.write(text, file=stream))
                self.draw(at_once=True)

    def draw(self, at_once: bool = False) -> None:
        """Show the current progress, unless it was shown a moment ago and `at_once` is False."""
        with self._lock:
            now = time.monotonic()
            if not at_once and now - self._drawn < (LINE_SECONDS if self._bar is None else BAR_SECONDS):
                return
            self._drawn = now
            snapshot = self._progress.snapshot()
            words = f"{snapshot.files_ended}/{self._files} files, {describe(snapshot)}"
            if (bar := self._bar) is None:
                write_if_read(sys.stderr, lambda stream: stream.write(words + "\n"))
                return
            bar.n = snapshot.share
            write_if_read(sys.stderr, lambda _: bar.set_description_str(words))


def write_if_read(stream: TextIO | None, write: Callable[[TextIO], object]) -> None:
    """Write to stdout or stderr. Results matter more: a closed pipe, as with head, or a full disk is no error.

    From then on the stream leads nowhere, so that what it still holds does not fail at the end of the program.
    """
    if stream is None:  # the shell has closed it
        return
    try:
        write(stream)
        stream.flush()
    except OSError:
        with contextlib.suppress(OSError, ValueError):
            nowhere = os.open(os.devnull, os.O_WRONLY)
            os.dup2(nowhere, stream.fileno())
            os.close(nowhere)


def describe(snapshot: ProgressSnapshot) -> str:
    """Return, for example, `31%, 1:02:10 of ~3:20:00, 85x real time, ETA 1:37`."""
    if snapshot.total is None:
        return "opening"
    about = "~" if snapshot.estimated else ""
    parts = [f"{snapshot.share:.0%}", f"{clock(snapshot.done)} of {about}{clock(snapshot.total)}"]
    if snapshot.done > 0 and snapshot.settled:
        parts.append(f"{times(snapshot.speed)} real time")
    if snapshot.eta is not None:
        parts.append(f"ETA {clock(snapshot.eta)}")
    return ", ".join(parts)


def clock(seconds: float) -> str:
    """Return 3723.4 seconds as 1:02:03 and 63 seconds as 1:03."""
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02}:{rest:02}" if hours else f"{minutes}:{rest:02}"


def times(speed: float) -> str:
    """Return 412.3 as 412x and 8.23 as 8.2x."""
    return f"{speed:.0f}x" if speed >= 100 else f"{speed:.1f}x"
