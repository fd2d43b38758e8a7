"""A machine with an NVIDIA driver and a GPU that are not there, for the doctor."""

import json
import os
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from tests.support.repository import ROOT

SOURCE = Path(__file__).with_name("driver.c")
LIBCUDA, NVML = "libcuda.so.1", "libnvidia-ml.so.1"
# Variables of the machine that tests run on, which say something of its own GPUs.
FOREIGN = ("CUDA_VISIBLE_DEVICES", "NVIDIA_VISIBLE_DEVICES", "NVIDIA_DRIVER_CAPABILITIES")


class Machine:
    """Runs the doctor with a stand-in for the driver, see driver.c. `folder` is where the driver's files lie."""

    def __init__(self, folder: Path) -> None:
        self._libraries, self._dev, self._proc = folder / "lib", folder / "dev", folder / "version"
        self._built, self._empty = folder / "built.so", folder / "empty.so"
        self._libraries.mkdir()
        self._dev.mkdir()
        subprocess.run(["cc", "-shared", "-fPIC", "-Wall", "-Werror", "-o", self._built, SOURCE], check=True)
        subprocess.run(["cc", "-shared", "-o", self._empty, "-x", "c", os.devnull], check=True)
        environment = {name: value for name, value in os.environ.items() if name not in FOREIGN}
        self._server = subprocess.Popen(
            [sys.executable, "-m", "tests.support.nvidia.doctor_server"],
            cwd=ROOT,
            env=environment | {"LD_LIBRARY_PATH": str(self._libraries)},
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )

    def close(self) -> None:
        """End the server."""
        self._server.communicate()

    def doctor(
        self,
        environment: Mapping[str, str],
        libraries: tuple[str, ...] = (LIBCUDA, NVML),
        nodes: tuple[str, ...] = ("nvidia0",),
        kernel_module: str = "",
        torch: Mapping[str, Any] | None = None,
        limit: float = 60.0,
        empty: tuple[str, ...] = (),
    ) -> dict[str, Any]:
        """Return the doctor's report, with its exit code as exitCode.

        environment: that of the doctor and of the stand-in. empty: libraries without a function, as programs are linked with.
        kernel_module: the text of /proc/driver/nvidia/version. torch: what torch said on a real GPU, see
        doctor_server.replay. limit: seconds that the driver has.
        """
        for name in (LIBCUDA, NVML):
            (self._libraries / name).unlink(missing_ok=True)
        for name in (*libraries, *empty):
            (self._libraries / name).symlink_to(self._empty if name in empty else self._built)
        for path in self._dev.iterdir():
            path.unlink()
        for name in nodes:
            (self._dev / name).touch()
        self._proc.write_text(kernel_module)
        case = {"environment": dict(environment), "dev": str(self._dev), "proc": str(self._proc), "limit": limit}
        return self._answer(case | {"torch": dict(torch) if torch is not None else None})

    def _answer(self, case: dict[str, Any]) -> dict[str, Any]:
        assert self._server.stdin is not None
        assert self._server.stdout is not None
        self._server.stdin.write(json.dumps(case, allow_nan=False) + "\n")
        self._server.stdin.flush()
        answered: dict[str, Any] = json.loads(self._server.stdout.readline())
        return answered
