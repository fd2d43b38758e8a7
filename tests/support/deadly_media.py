"""Media that take the worker's process down: a stand-in of ffprobe kills the program that started it."""

import os
import shutil
import sys
from pathlib import Path

# What such a file begins with.
DEADLY = b"DEADLY"

STAND_IN = f"""#!{sys.executable}
import os, re, signal, sys, time
source = next(re.search("/proc/self/fd/([0-9]+)", word) for word in sys.argv if "/proc/self/fd/" in word)
if os.pread(int(source[1]), {len(DEADLY)}, 0) == {DEADLY!r}:
    os.kill(os.getppid(), signal.SIGSEGV)
    time.sleep(60)
os.execv({{real!r}}, [{{real!r}}, *sys.argv[1:]])
"""


def search_path(folder: Path) -> str:
    """Put the stand-in into a folder, and return the PATH that finds it first."""
    folder.mkdir(parents=True, exist_ok=True)
    real = shutil.which("ffprobe")
    assert real is not None
    stand_in = folder / "ffprobe"
    stand_in.write_text(STAND_IN.format(real=real))
    stand_in.chmod(0o755)
    return f"{folder}:{os.environ['PATH']}"
