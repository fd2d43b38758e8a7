"""Ten hours of audio take no more memory than ten minutes."""

import os
import subprocess
import sys
import threading
import time
from dataclasses import dataclass
from pathlib import Path

from tests.support.media import write_long
from tests.support.processes import children

MOST_BYTES_MORE = 100 << 20

# This runs only the reading of audio: samples on disk, the first pass over them, and windows from everywhere.
SCRIPT = """
import sys
from pathlib import Path
import torch
from transcription_worker.media.audio import open_audio
from transcription_worker.engines.batched.algorithm.log_mel import LogMel
torch.set_num_threads(1)
audio = open_audio(Path(sys.argv[1]), Path(sys.argv[2]))
mel = LogMel(audio, 80)
seeks = range(0, mel.frames, max(3000, mel.frames // 150))
assert all(bool(torch.isfinite(mel.window(seek, 3000)).all()) for seek in seeks)
print(audio.count, *[line.split()[1] for line in open("/proc/self/status") if line.startswith("VmHWM")])
audio.close()
"""


@dataclass(frozen=True)
class Seen:
    """The result of a run. `own` and `ffmpeg` are the peak resident memory of the worker and of ffmpeg, in bytes."""

    count: int
    own: int
    ffmpeg: int


def peak(process: int) -> int:
    """Return the peak resident memory of a process in bytes if it is ffmpeg by now, else 0."""
    try:
        status = Path(f"/proc/{process}/status").read_text()
    except OSError:
        return 0
    fields = dict(line.split(":\t", 1) for line in status.splitlines() if ":\t" in line)
    return int(fields["VmHWM"].split()[0]) << 10 if fields["Name"] == "ffmpeg" and "VmHWM" in fields else 0


def run(media: Path, scratch: Path) -> Seen:
    """Run the script over one file, and watch the memory of its ffmpeg."""
    peaks = [0]
    environment = os.environ | {"OMP_NUM_THREADS": "1"}
    command: list[str | Path] = [sys.executable, "-c", SCRIPT, media, scratch]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True, env=environment) as process:

        def watch() -> None:
            while process.poll() is None:
                peaks.extend(peak(child) for child in children(process.pid))
                time.sleep(0.02)

        watcher = threading.Thread(target=watch)
        watcher.start()
        out = process.stdout.read() if process.stdout else ""
        watcher.join()
    assert process.returncode == 0
    count, kilobytes = (int(word) for word in out.split())
    return Seen(count, kilobytes << 10, max(peaks))


def test_ten_hours_take_the_memory_of_ten_minutes(tmp_path: Path) -> None:
    short = run(write_long(tmp_path / "short.au", 600), tmp_path)
    long = run(write_long(tmp_path / "long.au", 36_000), tmp_path)
    assert (short.count, long.count) == (600 * 16_000, 36_000 * 16_000)
    assert short.ffmpeg > 0, "no ffmpeg was seen"
    more = long.own + long.ffmpeg - short.own - short.ffmpeg
    print(f"10 min: {short.own >> 20} + {short.ffmpeg >> 20} MiB; 10 h: {long.own >> 20} + {long.ffmpeg >> 20} MiB")
    assert more < MOST_BYTES_MORE, f"{more >> 20} MiB more"
