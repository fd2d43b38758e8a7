"""Find how many CPU threads the pod may use; torch would count all of the node's cores."""

import math
import os
from pathlib import Path

CGROUP = Path("/sys/fs/cgroup")

# How often an idle OpenMP thread checks for work before it sleeps. By default it spins for milliseconds, which takes the
# cores from every busy process beside it: with two threads on two cores 120 s of audio took 3.5 s by default and 2.2 s with
# this count, and nothing was lost on an idle machine (docs/performance.md). With slower decode steps
# of many more matrix products it took 26 s and 3.7 s on another machine.
SPIN_COUNT = 10_000


def cpu_limit(cgroup: Path = CGROUP) -> float | None:
    """Return the number of CPUs that the cgroup grants, None if it is not limited.

    Source: cpu.max in cgroup v2; cpu.cfs_quota_us divided by cpu.cfs_period_us in v1.
    """
    quota, period = _quota_v2(cgroup) or _quota_v1(cgroup) or ("max", "1")
    if quota in ("max", "-1") or int(period) <= 0:
        return None
    return int(quota) / int(period)


def _quota_v2(cgroup: Path) -> tuple[str, str] | None:
    try:
        quota, period = (cgroup / "cpu.max").read_text().split()
    except (OSError, ValueError):
        return None
    return quota, period


def _quota_v1(cgroup: Path) -> tuple[str, str] | None:
    try:
        folder = cgroup / "cpu"
        return (folder / "cpu.cfs_quota_us").read_text().strip(), (folder / "cpu.cfs_period_us").read_text().strip()
    except OSError:
        return None


def thread_count(limit: float | None, allowed: int) -> int:
    """Return the number of threads for a limit in CPUs, rounded up, and `allowed` CPUs; it is at least 1."""
    return max(1, allowed if limit is None else min(allowed, math.ceil(limit)))


def available_cpus() -> int:
    """Return the number of CPUs that CPU affinity and cgroup allow."""
    return thread_count(cpu_limit(), len(os.sched_getaffinity(0)))


def observed_thread_count() -> int:
    """Return OMP_NUM_THREADS if it is set, else the number of CPUs that are allowed."""
    asked = os.environ.get("OMP_NUM_THREADS", "")
    return int(asked) if asked.isdigit() and int(asked) > 0 else available_cpus()


def wait_briefly() -> None:
    """Let idle OpenMP threads sleep early.

    It must be called before torch is imported, because libgomp reads the variable once.
    """
    os.environ.setdefault("GOMP_SPINCOUNT", str(SPIN_COUNT))
