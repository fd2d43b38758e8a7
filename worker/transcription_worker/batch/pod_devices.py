"""The devices of a pod's engines: all are proven before a file is taken, and one that fails is told by its number."""

import dataclasses
import threading

from transcription_api import exit_codes, reasons
from transcription_api.report import DeviceUsed

from transcription_worker.errors import WorkerError

# Failures that are about one device, by their exit code.
OF_A_DEVICE = (exit_codes.DEVICE_UNUSABLE, exit_codes.DEVICE_FAULT, exit_codes.OUT_OF_MEMORY)


class PodDevices:
    """The devices of `count` engines, which are numbered from 0."""

    def __init__(self, count: int) -> None:
        self.count = count
        self._barrier = threading.Barrier(count)
        self._found: dict[int, DeviceUsed] = {}

    def prove(self, engine: int, device: DeviceUsed) -> DeviceUsed:
        """Wait until the device of each engine is proven, so that none takes a file before; return what to tell of all.

        Raises:
            WorkerError: only some of the engines have no usable GPU and fell back to the CPU.
            threading.BrokenBarrierError: another engine has failed.
        """
        if engine not in self._found:  # a process that is started again waits for nobody
            self._found[engine] = device
            self._barrier.wait()
        if device.fallback_reason is not None and any(one.kind != device.kind for one in self._found.values()):
            raise WorkerError(reasons.BY_NAME[device.fallback_reason], device.fallback_message or "")
        if self.count == 1 or device.fallback_reason is not None:
            return device
        return dataclasses.replace(device, count=self.count)

    def give_up(self) -> None:
        """Have nobody wait any more: an engine has failed."""
        self._barrier.abort()

    def is_spare(self, engine: int) -> bool:
        """Whether the engine has nothing to do, since all fell back to the one CPU."""
        device = self._found.get(engine)
        return engine > 0 and device is not None and device.fallback_reason is not None

    def named(self, engine: int, error: WorkerError) -> WorkerError:
        """Return the failure with the number of the GPU before it, if it is about one of several."""
        if self.count == 1 or error.reason.exit_code not in OF_A_DEVICE:
            return error
        return WorkerError(error.reason, f"GPU {engine + 1} of {self.count}: {error.message}")
