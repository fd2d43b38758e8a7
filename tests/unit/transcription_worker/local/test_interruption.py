"""A signal ends the local command, whatever its threads wait for."""

import contextlib
import os
import signal
import sys
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest
from transcription_worker.local import command
from transcription_worker.local.command import SIGNALLED, LocalRun

from tests.support.local_files import plan

PATIENCE = 10.0  # seconds


@pytest.fixture
def ended(monkeypatch: pytest.MonkeyPatch) -> Iterator[threading.Event]:
    """Yield an event that is set when the program would end, and check the exit code."""
    event, codes = threading.Event(), list[int]()

    def end(code: int) -> None:
        codes.append(code)
        event.set()

    monkeypatch.setattr(command, "end_program", end)
    yield event
    _join("end", "last lines")
    assert set(codes) == {SIGNALLED + signal.SIGINT}


def _join(*names: str) -> None:
    """Wait for the threads of these names to end."""
    for thread in threading.enumerate():
        if thread.name in names:
            thread.join(PATIENCE)
            assert not thread.is_alive(), thread.name


@contextlib.contextmanager
def unread(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Have stdout be a full pipe that nobody reads inside the block. What is written to it is read at the end."""
    receiver, sender = os.pipe()
    os.set_blocking(sender, False)
    with contextlib.suppress(BlockingIOError):
        while os.write(sender, bytes(1 << 16)):
            pass
    os.set_blocking(sender, True)
    stdout = os.fdopen(sender, "w")
    try:
        with monkeypatch.context() as changed, os.fdopen(receiver, "rb", buffering=0) as unread_part:
            changed.setattr(sys, "stdout", stdout)
            try:
                yield
            finally:
                reader = threading.Thread(target=unread_part.readall, daemon=True)
                reader.start()
                _join("line", "last lines")
                stdout.close()
                reader.join(PATIENCE)
    finally:
        stdout.close()


def test_it_ends_although_nobody_reads_what_it_says(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, ended: threading.Event
) -> None:
    """As behind a pager that shows the first page: a thread that writes a line waits, and keeps the others from writing."""
    run = LocalRun(plan(tmp_path), [], 0, 0)
    with unread(monkeypatch):
        writer = threading.Thread(target=run.say, args=("done",), name="line", daemon=True)
        writer.start()
        writer.join(0.1)
        assert writer.is_alive(), "the pipe is full"
        threading.Thread(target=run.interrupt, args=("SIGINT",), daemon=True).start()
        assert ended.wait(PATIENCE)


class _Gate:
    """A gate that results are written behind for ever, as to a server that does not answer."""

    def __init__(self) -> None:
        self.opened = threading.Event()

    def close(self) -> None:
        self.opened.wait(PATIENCE)


def test_a_second_signal_waits_for_no_result_that_is_being_written(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, ended: threading.Event
) -> None:
    run, gate = LocalRun(plan(tmp_path), [], 0, 0), _Gate()
    monkeypatch.setattr(run, "_pipeline", type("Writing", (), {"write_gate": gate}))

    def interrupt_twice() -> None:
        run.interrupt("SIGINT")
        run.interrupt("SIGINT")

    threading.Thread(target=interrupt_twice, daemon=True).start()
    assert ended.wait(PATIENCE / 2)
    gate.opened.set()
