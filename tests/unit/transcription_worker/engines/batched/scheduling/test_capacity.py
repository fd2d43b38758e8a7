"""How many windows a decode batch on a GPU holds, and how many of them a step computes."""

import pytest
import torch
from transcription_api.spec import Precision
from transcription_worker.engines.batched.scheduling.capacity import MAX_WINDOWS_GPU, GpuMemory, window_bytes
from transcription_worker.engines.batched.scheduling.decode_batch import SLOTS_GPU, computed_slots
from whisper.model import ModelDimensions

LARGE = ModelDimensions(128, 1500, 1280, 20, 32, 51866, 448, 1280, 20, 32)
GPU = torch.device("cuda")
GIB = 1 << 30


@pytest.mark.parametrize(
    ("gibibytes", "greedy", "beams", "again"),
    [(137, 192, 144, 60), (76, 153, 79, 33), (20, 40, 21, 8), (1, 2, 1, 1), (0, 1, 1, 1)],
)
def test_a_batch_holds_what_its_rows_leave_room_for(gibibytes: int, greedy: int, beams: int, again: int) -> None:
    memory = GpuMemory(LARGE, torch.float16, GPU, gibibytes * GIB)
    assert (memory.windows(1), memory.windows(5), memory.windows(5, sampling=True)) == (greedy, beams, again)


@pytest.mark.parametrize(
    ("gibibytes", "greedy", "beams", "again"), [(137, 256, 180, 75), (76, 249, 99, 41), (20, 65, 26, 10), (0, 1, 1, 1)]
)
def test_a_batch_in_float8_holds_more(gibibytes: int, greedy: int, beams: int, again: int) -> None:
    memory = GpuMemory(LARGE, torch.float16, GPU, gibibytes * GIB, Precision.FLOAT8)
    assert (memory.windows(1), memory.windows(5), memory.windows(5, sampling=True)) == (greedy, beams, again)


@pytest.mark.parametrize("group", [1, 5])
def test_two_full_batches_leave_a_seventh_of_the_memory_to_other_work(group: int) -> None:
    memory = GpuMemory(LARGE, torch.float16, GPU, 80 * GIB)
    windows = memory.windows(group) + memory.windows(group, sampling=True)
    assert windows * window_bytes(LARGE, group, torch.float16, GPU) < 80 * GIB * 6 / 7


def test_a_step_on_a_gpu_computes_few_different_numbers_of_slots() -> None:
    found = {used: computed_slots(used, MAX_WINDOWS_GPU, GPU) for used in range(1, MAX_WINDOWS_GPU + 1)}
    assert set(found.values()) == set(SLOTS_GPU)
    assert all(size >= used for used, size in found.items())


@pytest.mark.parametrize(
    ("used", "slots", "expected"), [(1, 4, 4), (8, 40, 8), (33, 40, 40), (40, 40, 40), (129, 300, 192), (193, 300, 300)]
)
def test_a_step_on_a_gpu_computes_no_more_slots_than_there_are(used: int, slots: int, expected: int) -> None:
    assert computed_slots(used, slots, GPU) == expected


def test_a_step_on_a_cpu_computes_the_slots_in_use() -> None:
    assert computed_slots(5, 32, torch.device("cpu")) == 5
