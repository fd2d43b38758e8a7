"""The local command as a program, over files with the test model."""

import os
import subprocess
import sys
import time
from dataclasses import dataclass
from pathlib import Path

from tests.support.testmodel import model_path
from tests.support.whisper_command import THREADS

SECONDS = 240.0
# What takes no part in these tests, so that they are quick: one beam, one temperature.
QUICK = ("--temperature", "0", "--temperature_increment_on_fallback", "None", "--beam_size", "1")


@dataclass(frozen=True)
class Ended:
    """What a run left behind."""

    code: int
    out: str
    err: str

    @property
    def all(self) -> str:
        return self.out + self.err


def command(*words: str | Path, cpu: bool = True) -> list[str]:
    """transcription-worker local, with the test model on the CPU."""
    program = str(Path(sys.executable).with_name("transcription-worker"))
    fixed = ["--model", str(model_path()), "--threads", THREADS, *(["--device", "cpu"] if cpu else [])]
    return [program, "local", *fixed, *map(str, words)]


def environment(scratch: Path, **more: str) -> dict[str, str]:
    """`scratch`: where samples lie while a file is under way."""
    scratch.mkdir(exist_ok=True)
    return os.environ | {"TMPDIR": str(scratch)} | more


def local(scratch: Path, *words: str | Path, cpu: bool = True, **more: str) -> Ended:
    """Runs to its end; what it left in the scratch folder is nothing."""
    ended = subprocess.run(
        command(*words, cpu=cpu),
        check=False,
        env=environment(scratch, **more),
        capture_output=True,
        text=True,
        timeout=SECONDS,
    )
    assert list(scratch.iterdir()) == []
    return Ended(ended.returncode, ended.stdout, ended.stderr)


def start(scratch: Path, *words: str | Path) -> "subprocess.Popen[str]":
    """Runs on; stdout and stderr are one pipe."""
    return subprocess.Popen(
        command(*words), env=environment(scratch), stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True
    )


def wait_for(process: "subprocess.Popen[str]", word: str) -> str:
    """What it wrote up to the first line with the word."""
    assert process.stdout is not None
    lines = []
    until = time.monotonic() + SECONDS
    while time.monotonic() < until and (line := process.stdout.readline()):
        lines.append(line)
        if word in line:
            return "".join(lines)
    raise AssertionError(f"never wrote {word!r}: {''.join(lines)}")


def end_of(process: "subprocess.Popen[str]") -> str:
    """What it writes from now on to its end."""
    assert process.stdout is not None
    with process:
        return process.stdout.read()


def contents(folder: Path) -> dict[str, bytes]:
    """Every file below a folder, by its path in there."""
    return {str(path.relative_to(folder)): path.read_bytes() for path in folder.rglob("*") if path.is_file()}
