"""One resource over ten thousand files is exact, whoever dies meanwhile, and costs the API server next to nothing.

SCALE_FILES and SCALE_SEED choose another number of files and another order of deaths.
"""

import csv
import io
import json
import os
import random
import tempfile
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest

from tests.support.helm import NAMESPACE
from tests.support.job_namespace import ENDED, JobNamespace
from tests.support.many_pods import over, pods_that_transcribe, stored_results
from tests.support.speech import speak, write_wav
from tests.support.stack.kube import CommandError, kubectl
from tests.support.stack.operator_sample import OperatorSamples
from tests.support.stack.release import operator_pods

FILES = int(os.environ.get("SCALE_FILES") or 10_000)
RECORDINGS = 7  # different ones, which the files are copies of
SECONDS = 2.0
# So many that a shard is rarely killed twice: Kubernetes waits 10 s before it starts an index again, doubled with each failure up to
# 10 minutes, and starts no other one in its place meanwhile. With 20 shards both places waited for most of the time.
SHARDS = 60
# Seconds between two pods that are killed, between two looks, and until the test gives up.
KILL_SECONDS, TICK_SECONDS, PATIENCE = 30.0, 5.0, 3600.0
# Shares of the files that are done when the operator is killed.
OPERATOR_DIES = (0.2, 0.6)
# What is promised.
STATUS_BYTES, WRITES, MIB_MORE = 8 * 1024, 200, 30


def key(number: int) -> str:
    """Return the key of a file below the prefix; there are no more than a hundred in a folder."""
    return f"{number // 100:03}/{number:05}.wav"


@pytest.fixture(scope="module")
def namespace(client: Any) -> Iterator[JobNamespace]:
    """Yield a namespace of this module's own, and remove what was written for it."""
    namespace = JobNamespace("scale", client)
    namespace.ensure()
    yield namespace
    namespace.remove(wait=False)


@pytest.fixture(scope="module")
def recordings(namespace: JobNamespace) -> str:
    """Return a prefix with the files."""
    prefix = f"{namespace.name}/calls/"
    with tempfile.TemporaryDirectory() as folder, ThreadPoolExecutor(4) as threads:
        bodies = []
        for number in range(RECORDINGS):
            path = Path(folder) / f"{number}.wav"
            write_wav(path, speak("en", 8_200_001 + number, SECONDS)[0])
            bodies.append(path.read_bytes())

        def put(number: int) -> None:
            namespace.client.put_object(Bucket="audio", Key=prefix + key(number), Body=bodies[number % RECORDINGS])

        for _ in threads.map(put, range(FILES)):
            pass
    return prefix


class Course:
    """Follows the resource to its end, and kills its pods and the operator meanwhile."""

    def __init__(self, namespace: JobNamespace, name: str, draw: random.Random) -> None:
        self.samples = OperatorSamples()
        self.killed: list[str] = []
        self.largest_status = 0
        self._namespace, self._name, self._draw = namespace, name, draw
        self._began = self._last_kill = time.monotonic()
        self._operator_dies = list(OPERATOR_DIES)

    def follow(self) -> dict[str, Any]:
        """Return the status of the resource that has ended."""
        while time.monotonic() - self._began < PATIENCE:
            status = self._namespace.status(self._name)
            self.largest_status = max(self.largest_status, len(json.dumps(status)))
            self.samples.take()
            self._say(status)
            if status.get("phase") in ENDED:
                return status
            self._disturb(status)
            time.sleep(TICK_SECONDS)
        raise AssertionError(f"not ended within {PATIENCE:.0f} s: {self._namespace.status(self._name)}")

    def _disturb(self, status: dict[str, Any]) -> None:
        files = status.get("files", {})
        done = files.get("done", 0) + files.get("reused", 0)
        if self._operator_dies and done >= self._operator_dies[0] * FILES:
            self._operator_dies.pop(0)
            for pod in operator_pods():
                self._kill(pod, NAMESPACE)
        due = time.monotonic() - self._last_kill >= KILL_SECONDS
        if due and (pods := pods_that_transcribe(self._namespace, self._name)):
            self._kill(self._draw.choice(pods), self._namespace.name)
            self._last_kill = time.monotonic()

    def _kill(self, pod: str, namespace: str) -> None:
        try:
            kubectl("delete", "pod", pod, "-n", namespace, "--grace-period=0", "--force", "--wait=false")
        except CommandError:  # it has ended meanwhile
            return
        self.killed.append(pod)

    def _say(self, status: dict[str, Any]) -> None:
        files = status.get("files", {})
        shown = {name: value for name, value in files.items() if isinstance(value, int)}
        seconds = time.monotonic() - self._began
        print(f"{seconds:5.0f} s  {status.get('phase', '')} {shown} {len(self.killed)} killed", flush=True)


def test_ten_thousand_files_are_each_transcribed_once_although_their_pods_and_the_operator_are_killed(
    namespace: JobNamespace, recordings: str
) -> None:
    seed = int(os.environ.get("SCALE_SEED") or random.randrange(10**6))
    print(f"SCALE_SEED={seed}, {FILES} files")
    course = Course(namespace, "calls", random.Random(seed))
    course.samples.take()
    idle_mib = course.samples.peak_mib
    shard = {"minutes": 1, "speed": FILES * 30 / 60 / SHARDS}
    spec = over(namespace, "calls", recordings, shard=shard, retries=10)
    kubectl("apply", "-f", "-", text=json.dumps(namespace.manifest("calls", spec)))
    began = time.monotonic()
    status = course.follow()
    print(
        f"{FILES} files in {time.monotonic() - began:.0f} s, {len(course.killed)} pods killed, "
        f"{course.samples.writes} writes, the operator took {idle_mib:.0f} MiB before and at most "
        f"{course.samples.peak_mib:.0f}, the status {course.largest_status} bytes at most"
    )

    assert status["phase"] == "Complete", status
    assert status["files"]["total"] == FILES
    assert status["files"]["done"] + status["files"].get("reused", 0) == FILES
    account = namespace.text(status["reportKey"].replace("report.json", "report.csv"))
    rows = list(csv.DictReader(io.StringIO(account)))
    assert sorted(row["key"] for row in rows) == [recordings + key(number) for number in range(FILES)]
    assert_each_result_is_the_recordings(namespace)
    assert course.largest_status < STATUS_BYTES
    assert 0 < course.samples.writes <= WRITES
    assert course.samples.peak_mib - idle_mib <= MIB_MORE


def assert_each_result_is_the_recordings(namespace: JobNamespace) -> None:
    """Assert that each file has one transcript, and that copies of one recording have the same."""
    written = stored_results(namespace, "calls")
    found = {name: etag for name, etag in written.items() if name.endswith(".txt")}
    assert len(found) == FILES
    etags: dict[int, set[str]] = {}
    for name, etag in found.items():
        number = int(name.rsplit("/", 1)[-1].removesuffix(".txt"))
        etags.setdefault(number % RECORDINGS, set()).add(etag)
    assert all(len(same) == 1 for same in etags.values()), etags
