"""Schedulers share tasks."""

import threading
from collections.abc import Generator
from typing import Any

import pytest
import torch
from transcription_api import reasons
from transcription_worker.engines.batched.requests import Request
from transcription_worker.engines.batched.scheduling.scheduler_pool import MIN_WINDOWS_PER_SCHEDULER, scheduler_count
from transcription_worker.engines.batched.scheduling.task_queue import (
    WAITING_PER_SCHEDULER,
    Task,
    TaskQueue,
    TaskResult,
)
from transcription_worker.errors import WorkerError

CPU = torch.device("cpu")
WAIT = 60.0  # seconds, at most


def generator(result: Any = None) -> Generator[Request, Any, Any]:
    """Return a generator without requests."""
    return result
    yield


def task_queue(schedulers: int, max_running: int) -> tuple[TaskQueue, list[TaskResult | None]]:
    notified: list[TaskResult | None] = []
    return TaskQueue(schedulers, max_running, notified.append), notified


def owners(taken: list[Task] | None) -> list[Any]:
    assert taken is not None
    return [task.owner for task in taken]


def test_tasks_go_to_the_scheduler_that_has_the_fewest_and_else_to_the_first() -> None:
    tasks, _ = task_queue(2, max_running=4)
    for number in range(4):
        tasks.submit(generator(), number)
    assert owners(tasks.take(1, 0, wait=False)) == []
    assert owners(tasks.take(0, 0, wait=True)) == [0]
    assert owners(tasks.take(0, 1, wait=True)) == []
    assert owners(tasks.take(1, 0, wait=True)) == [1]
    assert owners(tasks.take(1, 1, wait=True)) == []
    assert owners(tasks.take(0, 1, wait=True)) == [2]


def test_a_scheduler_takes_no_more_than_it_may_run() -> None:
    tasks, _ = task_queue(1, max_running=2)
    for number in range(3):
        tasks.submit(generator(), number)
    assert tasks.spare_capacity == -1
    assert owners(tasks.take(0, 0, wait=True)) == [0, 1]
    assert owners(tasks.take(0, 2, wait=True)) == []
    assert owners(tasks.take(0, 1, wait=True)) == [2]


def test_a_scheduler_with_nothing_to_do_waits_until_there_is_something() -> None:
    tasks, _ = task_queue(1, max_running=1)
    taken: list[Any] = []
    thread = threading.Thread(target=lambda: taken.extend(owners(tasks.take(0, 0, wait=True))))
    thread.start()
    tasks.submit(generator(), "late")
    thread.join(WAIT)
    assert taken == ["late"]


def test_spare_capacity_is_notified_once_it_is_there() -> None:
    tasks, notified = task_queue(1, max_running=1)
    tasks.submit(generator(), "first")
    (task,) = tasks.take(0, 0, wait=True) or []
    tasks.finish(task, value="text")
    assert (tasks.spare_capacity, notified) == (0, [TaskResult("first", "text")])
    tasks.submit(generator(), "second")
    tasks.take(0, 0, wait=True)
    assert notified[1:] == [None]


def test_files_wait_for_the_next_scheduler_that_has_a_place_but_not_many() -> None:
    tasks, _ = task_queue(2, max_running=1)
    submitted = 0
    while tasks.has_room:
        tasks.submit(generator(), submitted)
        submitted += 1
    assert submitted == 2 + 2 * WAITING_PER_SCHEDULER
    assert owners(tasks.take(0, 0, wait=True)) == [0]
    assert owners(tasks.take(1, 0, wait=True)) == [1]
    assert not tasks.has_room
    assert owners(tasks.take(1, 0, wait=False)) == [
        2
    ]  # the other scheduler need not come to the end of its round first
    assert tasks.has_room


def test_closing_ends_the_waiting_and_leaves_what_has_not_begun() -> None:
    tasks, _ = task_queue(2, max_running=1)
    taken: list[Any] = ["nothing"]
    thread = threading.Thread(target=lambda: taken.append(tasks.take(0, 0, wait=True)))
    thread.start()
    tasks.close()
    thread.join(WAIT)
    assert taken == ["nothing", None]
    tasks.submit(generator(), "never")
    assert tasks.take(1, 0, wait=True) is None


def spawned(tasks: TaskQueue, count: int) -> tuple[Task, list[Task]]:
    """Return a task with this many child tasks, all of which were begun."""
    tasks.submit(generator(), "file")
    (task,) = tasks.take(0, 0, wait=True) or []
    tasks.spawn(task, [generator() for _ in range(count)])
    children = tasks.take(0, 0, wait=True) or []
    assert len(children) == count
    return task, children


def test_a_file_is_resumed_once_with_its_results_in_their_order() -> None:
    tasks, notified = task_queue(1, max_running=3)
    task, children = spawned(tasks, 3)
    ended = [tasks.finish(child, value=child.index) for child in reversed(children)]
    assert ended == [None, None, task]
    assert task.results == [0, 1, 2]
    tasks.finish(task, value="text")
    assert [one for one in notified if one is not None] == [TaskResult("file", "text")]


def test_children_of_a_file_that_has_begun_come_before_other_files() -> None:
    tasks, _ = task_queue(1, max_running=1)
    tasks.submit(generator(), "first")
    tasks.submit(generator(), "second")
    (task,) = tasks.take(0, 0, wait=True) or []
    tasks.spawn(task, [generator(), generator()])
    assert owners(tasks.take(0, 0, wait=True)) == ["first"]


def test_a_child_that_fails_is_its_files_failure_notified_once() -> None:
    tasks, notified = task_queue(1, max_running=3)
    _, children = spawned(tasks, 3)
    error = WorkerError(reasons.OUT_OF_MEMORY, "too much")
    for child in children:
        assert tasks.finish(child, error=error if child.index < 2 else None) is None
    assert [one for one in notified if one is not None] == [TaskResult("file", None, error)]


@pytest.mark.parametrize(
    ("batch", "threads", "count"),
    [
        (1, 2, 1),
        (MIN_WINDOWS_PER_SCHEDULER, 16, 1),
        (2 * MIN_WINDOWS_PER_SCHEDULER, 16, 2),
        (32, 2, 2),
        (32, 1, 1),
        (0, 2, 1),
    ],
)
def test_there_is_a_scheduler_for_each_thread_as_far_as_the_windows_go(batch: int, threads: int, count: int) -> None:
    assert scheduler_count(batch, threads, CPU) == count


def test_a_gpu_has_one_scheduler() -> None:
    assert scheduler_count(96, 16, torch.device("cuda")) == 1
