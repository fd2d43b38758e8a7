"""The driver's version and device nodes are read from files as the driver writes them."""

from pathlib import Path

import pytest
from transcription_worker import nvml

PROPRIETARY = """NVRM version: NVIDIA UNIX x86_64 Kernel Module  550.90.07  Fri May 31 09:35:42 UTC 2024
GCC version:  gcc version 12.3.0 (Ubuntu 12.3.0-1ubuntu1~22.04)
"""
OPEN = """NVRM version: NVIDIA UNIX Open Kernel Module for x86_64  580.65.06  Release Build  (dvs-builder@U22)  Sun Jul 27 07:29:34 UTC 2025
GCC version:  gcc version 13.3.0
"""
OLD = "NVRM version: NVIDIA UNIX x86_64 Kernel Module  470.239  Sat Feb  3 06:03:07 UTC 2024\n"


@pytest.mark.parametrize(
    ("text", "version"), [(PROPRIETARY, "550.90.07"), (OPEN, "580.65.06"), (OLD, "470.239"), ("", None)]
)
def test_the_kernel_modules_line_gives_the_version(text: str, version: str | None) -> None:
    assert nvml.parse_proc_version(text) == version


def test_device_nodes_are_the_numbered_ones(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(nvml, "DEV", tmp_path)
    for name in ("nvidia0", "nvidia1", "nvidiactl", "nvidia-uvm", "null"):
        (tmp_path / name).touch()
    assert nvml.device_nodes() == (f"{tmp_path}/nvidia0", f"{tmp_path}/nvidia1")
