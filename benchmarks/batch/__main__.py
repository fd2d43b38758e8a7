"""Measure many files in one resource, from S3 to S3, on a real S3 server and with the real worker, without a cluster.

(a) with the test model: beside `transcription-worker local` over the same files on disk, and beside one pod a file;
(b) with an engine that answers at once: beside ffmpeg alone over the same files on the same cores;
(c) many short files with that engine: the time in all, and the requests to S3 for each file.
"""

import argparse
import contextlib
import os
import shutil
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, TypeVar

from transcription_api import exit_codes, names
from transcription_worker.paths import Paths

from benchmarks.batch.instant import InstantRun
from benchmarks.batch.recordings import Recording, decode_alone, make_recordings
from tests.support.s3 import S3Server, s3_server
from tests.support.testmodel import model_path
from tests.support.worker_container import DESTINATION, SOURCE, WorkerContainer

# What the project promises.
OF_LOCAL = 0.9
TIMES_ONE_POD_A_FILE = 5.0
OF_FFMPEG = 0.7
SHORT_FILES_SECONDS = 300.0
REQUESTS_A_FILE = 4.0
MEMORY_GROWTH = 1.25  # the peak after all files over that after the first tenth

T = TypeVar("T")

# Files of which the cost of a pod of its own is measured.
SINGLE_PODS = 8


def main() -> int:
    """Run the parts; return 0 if every promise is kept."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--files", type=int, default=2000, help="files of 2 to 60 s of the parts a and b")
    parser.add_argument("--short", type=int, default=10_000, help="files of 2 s of the part c")
    parser.add_argument("--parts", choices=("a", "b", "ab", "c"), default="abc", help="some of the parts alone")
    options = parser.parse_args()
    cores = os.cpu_count() or 1
    print(f"{cores} cores, load {os.getloadavg()[0]:.1f} before the start", flush=True)
    kept: list[bool] = []
    with tempfile.TemporaryDirectory() as temporary:
        folder = Path(temporary)
        if options.parts != "c":
            with filled_server(folder / "mixed", options.files, (2.0, 60.0), cores) as (server, recordings):
                kept += run_test_model(folder, server, recordings, cores) if "a" in options.parts else []
                kept += run_instant(folder, server, recordings, cores) if "b" in options.parts else []
        if "c" in options.parts:
            with filled_server(folder / "short", options.short, (2.0, 2.0), cores) as (server, recordings):
                kept += run_short(folder, server, recordings)
    return 0 if all(kept) else 1


@contextlib.contextmanager
def filled_server(
    folder: Path, count: int, lengths: tuple[float, float], cores: int
) -> Iterator[tuple[S3Server, list[Recording]]]:
    """Yield an S3 server whose bucket SOURCE has the recordings below calls/, and the recordings on disk."""
    media = folder / "media"
    media.mkdir(parents=True)
    began = time.monotonic()
    recordings = make_recordings(media, count, *lengths, cores)
    seconds = sum(recording.seconds for recording in recordings)
    print(f"{count} files, {seconds / 3600:.2f} hours, made in {time.monotonic() - began:.0f} s", flush=True)
    with s3_server(folder) as server:
        server.client().create_bucket(Bucket=DESTINATION)
        server.client().create_bucket(Bucket=SOURCE)
        for recording in recordings:
            server.client().upload_file(str(recording.path), SOURCE, f"calls/{recording.path.relative_to(media)}")
        yield server, recordings
    shutil.rmtree(folder)


def many(container: WorkerContainer, prefix: str, **fields: Any) -> dict[str, Any]:
    """Return the spec over all files."""
    spec = container.spec("unused", prefix, shard={"minutes": 1440}, **fields)
    spec["source"] = {"s3": container.endpoint(bucket=SOURCE, prefix="calls/")}
    return spec


# --- part a


def run_test_model(folder: Path, server: S3Server, recordings: list[Recording], cores: int) -> list[bool]:
    """Compare one pod over all files with `local` over the same files, and with a pod for each file."""
    container = WorkerContainer(folder / "pod", server)
    container.mount_model(model_path())
    # As many threads as `local` takes of itself; a container of the tests has one.
    container.env |= {names.ENV_INDEX: "0", "OMP_NUM_THREADS": str(cores)}
    spec = many(container, "many/")
    times = {phase: run_phase(container, spec, phase) for phase in names.PHASES}
    seconds = sum(recording.seconds for recording in recordings)
    print("one resource: " + ", ".join(f"{phase} {took:.1f} s" for phase, took in times.items()), flush=True)
    local = run_local(recordings, folder / "local")
    alone = run_single_pods(container, server)
    whole = sum(times.values())
    each = alone * len(recordings) / SINGLE_PODS
    print(f"x real time: one resource {seconds / whole:.1f}, local {seconds / local:.1f}")
    return [
        check("speed of the phase transcribe over that of local", local / times[names.PHASE_TRANSCRIBE], OF_LOCAL),
        check(f"one pod a file (of {SINGLE_PODS}), over one resource", each / whole, TIMES_ONE_POD_A_FILE),
    ]


def run_phase(container: WorkerContainer, spec: dict[str, Any], phase: str) -> float:
    """Return how long the worker of a phase took, in seconds."""
    began = time.monotonic()
    process = container.start(spec, phase=phase)
    _, log = process.communicate()
    if process.returncode != exit_codes.OK:
        raise RuntimeError(f"{phase} ended with {process.returncode}: {log[-2000:]}")
    return time.monotonic() - began


def run_local(recordings: list[Recording], output: Path) -> float:
    """Return how long the command for files on disk takes, in seconds."""
    program = Path(sys.executable).with_name("transcription-worker")
    media = recordings[0].path.parent.parent
    began = time.monotonic()
    options = ["--recursive", "--model", model_path(), "--output-dir", output, "--device", "cpu"]
    command = [str(word) for word in [program, "local", media, *options]]
    done = subprocess.run(command, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True, check=False)
    if done.returncode != exit_codes.OK:
        raise RuntimeError(f"local ended with {done.returncode}: {done.stderr[-2000:]}")
    return time.monotonic() - began


def run_single_pods(container: WorkerContainer, server: S3Server) -> float:
    """Return how long a few files take, each in a worker of its own, as one resource a file would have it."""
    listed = server.client().list_objects_v2(Bucket=SOURCE, Prefix="calls/", MaxKeys=SINGLE_PODS)["Contents"]
    began = time.monotonic()
    for item in listed:
        ended = container.run(container.spec(item["Key"], "alone/"))
        if ended.code != exit_codes.OK:
            raise RuntimeError(f"{item['Key']}: {ended.log[-2000:]}")
    return time.monotonic() - began


# --- parts b and c


def run_instant(folder: Path, server: S3Server, recordings: list[Recording], cores: int) -> list[bool]:
    """Compare all that is not the engine with what ffmpeg takes alone."""
    container = WorkerContainer(folder / "instant", server)
    run = InstantRun(many(container, "instant/"), Paths(container.root))
    shards = run.plan()
    _, ours, ours_cpu = timed(lambda: run.transcribe(shards))
    _, alone, alone_cpu = timed(lambda: decode_alone(recordings, cores))
    print(f"transcribe with an instant engine {ours:.1f} s, ffmpeg alone {alone:.1f} s", flush=True)
    print(f"CPU seconds: {ours_cpu:.1f}, ffmpeg alone {alone_cpu:.1f}", flush=True)
    return [check("of ffmpeg's speed", alone / ours, OF_FFMPEG), memory_is_flat(run)]


def run_short(folder: Path, server: S3Server, recordings: list[Recording]) -> list[bool]:
    """Measure what each file costs beside its audio."""
    container = WorkerContainer(folder / "few", server)
    run = InstantRun(many(container, "short/"), Paths(container.root))
    before = len(server.requests())
    shards, *planning = timed(run.plan)
    _, *transcribing = timed(lambda: run.transcribe(shards))
    counts, *collecting = timed(run.collect)
    times = {"plan": planning, "transcribe": transcribing, "collect": collecting}
    whole = sum(took for took, _ in times.values())
    if counts.done != len(recordings):
        raise RuntimeError(f"{counts.done} of {len(recordings)} files are done: {counts.failures}")
    print(", ".join(f"{phase} {took:.1f} s with {cpu:.1f} s of CPU" for phase, (took, cpu) in times.items()))
    kinds = Counter(operation(line) for line in server.requests()[before:])
    results = len(recordings) * 3  # two formats and the report
    print(
        "requests a file: " + ", ".join(f"{kind} {count / len(recordings):.2f}" for kind, count in kinds.most_common())
    )
    requests = (sum(kinds.values()) - results) / len(recordings)
    return [
        check(f"seconds for {len(recordings)} files", whole, SHORT_FILES_SECONDS, most=True),
        check("requests a file beside the results' PUTs", requests, REQUESTS_A_FILE, most=True),
        memory_is_flat(run),
    ]


def timed(work: Callable[[], T]) -> tuple[T, float, float]:
    """Return what something returns, how long it takes, and the CPU of this process and its children, both in seconds."""
    began, cpu = time.monotonic(), used_cpu()
    value = work()
    return value, time.monotonic() - began, used_cpu() - cpu


def used_cpu() -> float:
    """Return the CPU seconds of this process and of its children that have ended."""
    return sum(os.times()[:4])


def operation(line: str) -> str:
    """Return the S3 operation of a line of the server's access log."""
    return next((word.removeprefix("s3_") for word in line.split() if word.startswith("s3_")), "unknown")


def memory_is_flat(run: InstantRun) -> bool:
    """Compare the peak after all files with that after the first tenth."""
    peaks = run.engine.peaks
    early, late = peaks[len(peaks) // 10], peaks[-1]
    print(f"peak memory: {early:.0f} MiB after a tenth of the files, {late:.0f} MiB after all")
    return check("growth of the peak memory", late / early, MEMORY_GROWTH, most=True)


def check(what: str, value: float, wanted: float, most: bool = False) -> bool:
    """Print a figure beside what the project promises, and return whether it is kept."""
    kept = value <= wanted if most else value >= wanted
    print(
        f"{what}: {value:.2f} ({'at most' if most else 'at least'} {wanted:g}){'' if kept else ': MISSED'}", flush=True
    )
    return kept


if __name__ == "__main__":
    raise SystemExit(main())
