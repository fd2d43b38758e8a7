"""Run the command `transcription-worker local` as a program with the test model."""

import os
import subprocess
import sys
import time
from dataclasses import dataclass
from pathlib import Path

from tests.support.forked_worker import ForkedWorker
from tests.support.testmodel import model_path
from tests.support.whisper_command import THREADS

SECONDS = 240.0
# Options that keep the tests quick: one beam and one temperature.
QUICK = ("--temperature", "0", "--temperature_increment_on_fallback", "None", "--beam_size", "1")


@dataclass(frozen=True)
class Ended:
    """The outcome of a run."""

    code: int
    out: str
    err: str

    @property
    def all(self) -> str:
        return self.out + self.err


def command(*words: str | Path, cpu: bool = True) -> list[str]:
    """Return the command line, with the test model on the CPU."""
    program = str(Path(sys.executable).with_name("transcription-worker"))
    fixed = ["--model", str(model_path()), "--threads", THREADS, *(["--device", "cpu"] if cpu else [])]
    return [program, "local", *fixed, *map(str, words)]


def environment(scratch: Path, **more: str) -> dict[str, str]:
    """Return the environment. Samples of files in progress are in `scratch`."""
    scratch.mkdir(exist_ok=True)
    return os.environ | {"TMPDIR": str(scratch)} | more


def local(scratch: Path, *words: str | Path, cpu: bool = True, **more: str) -> Ended:
    """Run the command to its end, and check that it leaves nothing in the scratch folder.

    It is forked, unless its environment is another one than that of the tests: see ForkedWorker.
    """
    line, env = command(*words, cpu=cpu), environment(scratch, **more)
    process: ForkedWorker | subprocess.Popen[str]
    if more:
        process = subprocess.Popen(line, env=env, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    else:
        process = ForkedWorker(line[1:], env)
    out, err = process.communicate(timeout=SECONDS)
    assert list(scratch.iterdir()) == []
    assert process.returncode is not None
    return Ended(process.returncode, out, err)


def start(scratch: Path, *words: str | Path) -> "subprocess.Popen[str]":
    """Start the command, with stdout and stderr in one pipe."""
    return subprocess.Popen(
        command(*words), env=environment(scratch), stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True
    )


def wait_for(process: "subprocess.Popen[str]", word: str) -> str:
    """Wait for a line with the word, and return what was written up to it."""
    assert process.stdout is not None
    lines = []
    until = time.monotonic() + SECONDS
    while time.monotonic() < until and (line := process.stdout.readline()):
        lines.append(line)
        if word in line:
            return "".join(lines)
    raise AssertionError(f"never wrote {word!r}: {''.join(lines)}")


def end_of(process: "subprocess.Popen[str]") -> str:
    """Wait for the end, and return what is written until then."""
    assert process.stdout is not None
    with process:
        return process.stdout.read()


def contents(folder: Path) -> dict[str, bytes]:
    """Return the content of every file below a folder, by its path relative to the folder."""
    return {str(path.relative_to(folder)): path.read_bytes() for path in folder.rglob("*") if path.is_file()}
