"""CPU limits are read as the kernel shows them."""

import os
import subprocess
import sys
from pathlib import Path

import pytest
from transcription_worker.threads import SPIN_COUNT, cpu_limit, thread_count


def write(root: Path, **files: str) -> Path:
    for name, text in files.items():
        path = root / name.replace("__", "/").replace("_DOT_", ".")
        path.parent.mkdir(exist_ok=True)
        path.write_text(text)
    return root


def test_cgroup_v2_gives_quota_by_period(tmp_path: Path) -> None:
    assert cpu_limit(write(tmp_path, cpu_DOT_max="250000 100000\n")) == 2.5


def test_cgroup_v2_without_a_limit_gives_none(tmp_path: Path) -> None:
    assert cpu_limit(write(tmp_path, cpu_DOT_max="max 100000\n")) is None


def test_cgroup_v1_gives_quota_by_period(tmp_path: Path) -> None:
    files = {"cpu__cpu_DOT_cfs_quota_us": "150000\n", "cpu__cpu_DOT_cfs_period_us": "100000\n"}
    assert cpu_limit(write(tmp_path, **files)) == 1.5


def test_cgroup_v1_without_a_limit_gives_none(tmp_path: Path) -> None:
    files = {"cpu__cpu_DOT_cfs_quota_us": "-1\n", "cpu__cpu_DOT_cfs_period_us": "100000\n"}
    assert cpu_limit(write(tmp_path, **files)) is None


def test_no_cgroup_gives_none(tmp_path: Path) -> None:
    assert cpu_limit(tmp_path) is None


@pytest.mark.parametrize(
    ("limit", "allowed", "count"), [(None, 8, 8), (2.0, 64, 2), (2.5, 64, 3), (0.2, 64, 1), (16.0, 4, 4)]
)
def test_threads_are_the_smaller_of_limit_and_affinity(limit: float | None, allowed: int, count: int) -> None:
    assert thread_count(limit, allowed) == count


PROGRAM = """
import os, sys
from transcription_worker import main
main._doctor = lambda _: print(os.environ["GOMP_SPINCOUNT"], "torch" in sys.modules) or 0
sys.argv[1:] = ["doctor"]
main.main()
"""


@pytest.mark.parametrize(("given", "count"), [(None, str(SPIN_COUNT)), ("7", "7")])
def test_idle_threads_wait_briefly_from_before_torch_is_there_unless_somebody_says_otherwise(
    given: str | None, count: str
) -> None:
    environment = {name: value for name, value in os.environ.items() if name != "GOMP_SPINCOUNT"}
    environment |= {} if given is None else {"GOMP_SPINCOUNT": given}
    ended = subprocess.run([sys.executable, "-c", PROGRAM], env=environment, capture_output=True, text=True, check=True)
    assert ended.stdout.split() == [count, "False"]
