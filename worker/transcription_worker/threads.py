"""How many CPU threads the pod may use: torch would count the node's cores."""

import math
import os
from pathlib import Path

CGROUP = Path("/sys/fs/cgroup")

# Looks of an idle thread of OpenMP's at whether there is work, before it sleeps. By default it looks for milliseconds, and
# beside another busy process both lose the cores to that: with two threads on two cores 120 s of audio took 3.5 s by default
# and 2.2 s with so few looks, and nothing was lost where nobody else was there (docs/performance.md). With slower steps, of
# many more products, it was 26 s and 3.7 s on another machine.
SPIN_COUNT = 10_000


def cpu_limit(cgroup: Path = CGROUP) -> float | None:
    """CPUs that the cgroup grants (v2: cpu.max, v1: cpu.cfs_quota_us by cpu.cfs_period_us); None where unlimited."""
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
    """At least one; a part of a CPU counts as one."""
    return max(1, allowed if limit is None else min(allowed, math.ceil(limit)))


def observed_thread_count() -> int:
    """OMP_NUM_THREADS where somebody set it, else what affinity and cgroup allow."""
    asked = os.environ.get("OMP_NUM_THREADS", "")
    return int(asked) if asked.isdigit() and int(asked) > 0 else thread_count(cpu_limit(), len(os.sched_getaffinity(0)))


def wait_briefly() -> None:
    """Before torch is imported: libgomp reads the variable once."""
    os.environ.setdefault("GOMP_SPINCOUNT", str(SPIN_COUNT))
