"""How schedulers share streams."""

import threading
from collections.abc import Generator
from typing import Any

import pytest
import torch
from transcription_api import reasons
from transcription_worker.engines.batched.requests import Ask
from transcription_worker.engines.batched.scheduling.scheduler_pool import LEAST_WINDOWS, scheduler_count
from transcription_worker.engines.batched.scheduling.task_queue import Ended, Task, Tasks
from transcription_worker.errors import WorkerError

CPU = torch.device("cpu")
WAIT = 10.0  # seconds, at most


def stream(result: Any = None) -> Generator[Ask, Any, Any]:
    """One that never asks for anything."""
    return result
    yield


def shared(schedulers: int, at_once: int) -> tuple[Tasks, list[Ended | None]]:
    told: list[Ended | None] = []
    return Tasks(schedulers, at_once, told.append), told


def keys(taken: list[Task] | None) -> list[Any]:
    assert taken is not None
    return [task.key for task in taken]


def test_streams_go_to_the_scheduler_that_has_the_fewest_and_else_to_the_first() -> None:
    tasks, _ = shared(2, at_once=4)
    for number in range(4):
        tasks.add(stream(), number)
    assert keys(tasks.take(1, 0, wait=False)) == []
    assert keys(tasks.take(0, 0, wait=True)) == [0]
    assert keys(tasks.take(0, 1, wait=True)) == []
    assert keys(tasks.take(1, 0, wait=True)) == [1]
    assert keys(tasks.take(1, 1, wait=True)) == []
    assert keys(tasks.take(0, 1, wait=True)) == [2]


def test_a_scheduler_takes_no_more_than_it_may_run() -> None:
    tasks, _ = shared(1, at_once=2)
    for number in range(3):
        tasks.add(stream(), number)
    assert tasks.room == -1
    assert keys(tasks.take(0, 0, wait=True)) == [0, 1]
    assert keys(tasks.take(0, 2, wait=True)) == []
    assert keys(tasks.take(0, 1, wait=True)) == [2]


def test_a_scheduler_with_nothing_to_do_waits_until_there_is_something() -> None:
    tasks, _ = shared(1, at_once=1)
    taken: list[Any] = []
    thread = threading.Thread(target=lambda: taken.extend(keys(tasks.take(0, 0, wait=True))))
    thread.start()
    tasks.add(stream(), "late")
    thread.join(WAIT)
    assert taken == ["late"]


def test_room_is_told_once_it_is_there() -> None:
    tasks, told = shared(1, at_once=1)
    tasks.add(stream(), "first")
    (task,) = tasks.take(0, 0, wait=True) or []
    tasks.end(task, value="text")
    assert (tasks.room, told) == (0, [Ended("first", "text")])
    tasks.add(stream(), "second")
    tasks.take(0, 0, wait=True)
    assert told[1:] == [None]


def test_a_stop_ends_the_waiting_and_leaves_what_has_not_begun() -> None:
    tasks, _ = shared(2, at_once=1)
    taken: list[Any] = ["nothing"]
    thread = threading.Thread(target=lambda: taken.append(tasks.take(0, 0, wait=True)))
    thread.start()
    tasks.stop()
    thread.join(WAIT)
    assert taken == ["nothing", None]
    tasks.add(stream(), "never")
    assert tasks.take(1, 0, wait=True) is None


def parted(tasks: Tasks, count: int) -> tuple[Task, list[Task]]:
    """A file of so many parts, all of which were begun."""
    tasks.add(stream(), "file")
    (task,) = tasks.take(0, 0, wait=True) or []
    tasks.part(task, [stream() for _ in range(count)])
    parts = tasks.take(0, 0, wait=True) or []
    assert len(parts) == count
    return task, parts


def test_a_file_goes_on_once_with_its_parts_in_their_order() -> None:
    tasks, told = shared(1, at_once=3)
    task, parts = parted(tasks, 3)
    ended = [tasks.end(part, value=part.place) for part in reversed(parts)]
    assert ended == [None, None, task]
    assert task.parts == [0, 1, 2]
    tasks.end(task, value="text")
    assert [one for one in told if one is not None] == [Ended("file", "text")]


def test_parts_of_a_file_that_has_begun_come_before_other_files() -> None:
    tasks, _ = shared(1, at_once=1)
    tasks.add(stream(), "first")
    tasks.add(stream(), "second")
    (task,) = tasks.take(0, 0, wait=True) or []
    tasks.part(task, [stream(), stream()])
    assert keys(tasks.take(0, 0, wait=True)) == ["first"]


def test_a_part_that_fails_is_its_files_failure_told_once() -> None:
    tasks, told = shared(1, at_once=3)
    _, parts = parted(tasks, 3)
    error = WorkerError(reasons.OUT_OF_MEMORY, "too much")
    for part in parts:
        assert tasks.end(part, error=error if part.place < 2 else None) is None
    assert [one for one in told if one is not None] == [Ended("file", None, error)]


@pytest.mark.parametrize(
    ("batch", "threads", "count"),
    [(1, 2, 1), (LEAST_WINDOWS, 16, 1), (2 * LEAST_WINDOWS, 16, 2), (32, 2, 2), (32, 1, 1), (0, 2, 1)],
)
def test_there_is_a_scheduler_for_each_thread_as_far_as_the_windows_go(batch: int, threads: int, count: int) -> None:
    assert scheduler_count(batch, threads, CPU) == count


def test_a_gpu_has_one_scheduler() -> None:
    assert scheduler_count(96, 16, torch.device("cuda")) == 1
