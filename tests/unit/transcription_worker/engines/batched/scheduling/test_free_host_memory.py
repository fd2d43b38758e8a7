"""The memory that is free on the host is what the pod's limit leaves, and the page cache is free."""

from pathlib import Path

import pytest
from transcription_worker.engines.batched.scheduling.capacity import free_host_bytes

GIB = 1 << 30

# A pod of 8 GiB that has read and written 6.3 GiB of files.
V2 = {
    "memory.max": f"{8 * GIB}\n",
    "memory.current": f"{int(7.9 * GIB)}\n",
    "memory.stat": f"anon {GIB}\nfile {int(6.8 * GIB)}\nfile_mapped {GIB // 2}\nshmem 0\n"
    f"inactive_file {5 * GIB}\nactive_file {int(1.8 * GIB)}\nunevictable 0\n",
}
V1 = {
    "memory/memory.limit_in_bytes": V2["memory.max"],
    "memory/memory.usage_in_bytes": V2["memory.current"],
    # The first lines are of this group alone; those of the whole subtree begin with total_.
    "memory/memory.stat": f"mapped_file 0\ninactive_file 1\nactive_file 1\ntotal_mapped_file {GIB // 2}\n"
    f"total_inactive_file {5 * GIB}\ntotal_active_file {int(1.8 * GIB)}\n",
}


@pytest.fixture
def meminfo(tmp_path: Path) -> Path:
    path = tmp_path / "meminfo"
    path.write_text(f"MemTotal: {64 << 20} kB\nMemFree: 1 kB\nMemAvailable: {32 << 20} kB\n")
    return path


def cgroup(folder: Path, files: dict[str, str]) -> Path:
    for name, content in files.items():
        path = folder / "cgroup" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(content)
    return folder / "cgroup"


@pytest.mark.parametrize("files", [V2, V1], ids=["cgroup v2", "cgroup v1"])
def test_files_that_the_kernel_keeps_in_memory_take_no_room_from_the_windows(
    tmp_path: Path, meminfo: Path, files: dict[str, str]
) -> None:
    free = free_host_bytes(cgroup(tmp_path, files), meminfo)
    assert free / GIB == pytest.approx(8 - 7.9 + 5 + 1.8 - 0.5, abs=0.001)


def test_a_pod_whose_cgroup_tells_no_statistics_counts_all_of_its_use(tmp_path: Path, meminfo: Path) -> None:
    files = {name: content for name, content in V2.items() if name != "memory.stat"}
    assert free_host_bytes(cgroup(tmp_path, files), meminfo) / GIB == pytest.approx(0.1, abs=0.001)


def test_files_mapped_from_shared_memory_are_not_taken_for_page_cache(tmp_path: Path, meminfo: Path) -> None:
    stat = f"file_mapped {3 * GIB}\nshmem {3 * GIB}\ninactive_file {GIB}\nactive_file 0\n"
    free = free_host_bytes(cgroup(tmp_path, V2 | {"memory.stat": stat}), meminfo)
    assert free / GIB == pytest.approx(0.1, abs=0.001)


def test_without_a_limit_the_nodes_memory_counts(tmp_path: Path, meminfo: Path) -> None:
    files = {**V2, "memory.max": "max\n"}
    assert free_host_bytes(cgroup(tmp_path, files), meminfo) == 32 * GIB
