"""Run openai-whisper's own command with the test model."""

import os
import subprocess
import sys
from pathlib import Path

from tests.support.testmodel import model_path

THREADS = "1"  # of torch, on both sides of every comparison


def whisper_command(files: list[Path], out: Path, *options: str) -> dict[str, bytes]:
    """Run the command and return the files that it writes, by name."""
    program = str(Path(sys.executable).with_name("whisper"))
    fixed = ["--model", str(model_path()), "--device", "cpu", "--threads", THREADS, "--output_dir", str(out)]
    subprocess.run(
        [program, *map(str, files), *fixed, *options],
        check=True,
        env=os.environ | {"OMP_NUM_THREADS": THREADS},
        stdout=subprocess.DEVNULL,
    )
    return {path.name: path.read_bytes() for path in out.iterdir()}
