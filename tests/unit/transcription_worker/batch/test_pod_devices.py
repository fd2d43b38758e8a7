"""What a pod makes of the devices that its engines find."""

import threading
from collections.abc import Sequence

import pytest
from transcription_api import reasons
from transcription_api.report import DeviceUsed
from transcription_worker.batch.pod_devices import PodDevices
from transcription_worker.errors import WorkerError

GPU = DeviceUsed("cuda", name="NVIDIA L4")
FALLEN_BACK = DeviceUsed("cpu", fallback_reason=reasons.GPU_FAILED.name, fallback_message="a small kernel failed")


def prove_all(devices: PodDevices, found: Sequence[DeviceUsed]) -> list[DeviceUsed | WorkerError]:
    """Let each engine prove its device, in a thread of its own; return what it is told."""
    told: list[DeviceUsed | WorkerError] = [GPU] * len(found)

    def prove(engine: int) -> None:
        try:
            told[engine] = devices.prove(engine, found[engine])
        except WorkerError as error:
            told[engine] = error

    threads = [threading.Thread(target=prove, args=(engine,)) for engine in range(len(found))]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return told


def test_one_device_has_no_count() -> None:
    devices = PodDevices(1)
    assert devices.prove(0, GPU) is GPU
    assert devices.prove(0, GPU) is GPU


def test_several_devices_are_counted() -> None:
    first, second = prove_all(PodDevices(2), [GPU, GPU])
    assert first == second
    assert isinstance(first, DeviceUsed)
    assert (first.name, first.count) == ("NVIDIA L4", 2)


def test_a_pod_of_which_some_gpus_are_usable_fails_by_what_is_wrong_with_the_others() -> None:
    first, second = prove_all(PodDevices(2), [GPU, FALLEN_BACK])
    assert isinstance(first, DeviceUsed)
    assert isinstance(second, WorkerError)
    assert (second.reason, second.message) == (reasons.GPU_FAILED, "a small kernel failed")


def test_where_all_fell_back_to_the_cpu_one_engine_works() -> None:
    devices = PodDevices(2)
    assert prove_all(devices, [FALLEN_BACK, FALLEN_BACK]) == [FALLEN_BACK, FALLEN_BACK]
    assert [devices.is_spare(engine) for engine in range(2)] == [False, True]


def test_nobody_waits_for_an_engine_that_has_failed() -> None:
    devices = PodDevices(2)
    devices.give_up()
    with pytest.raises(threading.BrokenBarrierError):
        devices.prove(0, GPU)


def test_a_failure_of_one_of_several_devices_has_its_number() -> None:
    fault = WorkerError(reasons.GPU_FAULT, "CUDA error")
    assert PodDevices(4).named(2, fault).message == "GPU 3 of 4: CUDA error"
    assert PodDevices(1).named(0, fault) is fault
    denied = WorkerError(reasons.ACCESS_DENIED, "403")
    assert PodDevices(4).named(2, denied) is denied
