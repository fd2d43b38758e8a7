"""A key waits once, and is never processed twice at the same time."""

import asyncio

from transcription_operator.work_queue import FIRST_RETRY_SECONDS, LAST_RETRY_SECONDS, WorkQueue


async def test_a_key_added_often_is_processed_once() -> None:
    queue: WorkQueue[str] = WorkQueue()
    for _ in range(3):
        queue.add("a")
    assert await queue.get() == "a"
    queue.done("a")
    assert queue.idle


async def test_a_key_added_while_it_is_processed_is_processed_again_afterwards() -> None:
    queue: WorkQueue[str] = WorkQueue()
    queue.add("a")
    await queue.get()
    queue.add("a")
    assert len(queue) == 0
    queue.done("a")
    assert await queue.get() == "a"


async def test_keys_come_in_the_order_in_which_they_were_added() -> None:
    queue: WorkQueue[str] = WorkQueue()
    for key in "bac":
        queue.add(key)
    assert [await queue.get() for _ in range(3)] == ["b", "a", "c"]


async def test_failures_wait_twice_as_long_each_time_up_to_a_bound_until_they_are_forgotten() -> None:
    queue: WorkQueue[str] = WorkQueue()
    waits = [queue.add_rate_limited("a") for _ in range(12)]
    assert waits[:3] == [FIRST_RETRY_SECONDS, 2 * FIRST_RETRY_SECONDS, 4 * FIRST_RETRY_SECONDS]
    assert waits[-1] == LAST_RETRY_SECONDS
    queue.forget("a")
    assert queue.add_rate_limited("a") == FIRST_RETRY_SECONDS
    queue.add_after("a", None)


async def test_a_later_delay_takes_the_place_of_the_earlier_one() -> None:
    queue: WorkQueue[str] = WorkQueue()
    queue.add_after("a", 0.01)
    queue.add_after("a", None)
    await asyncio.sleep(0.03)
    assert queue.idle
    queue.add_after("a", 0.01)
    assert await asyncio.wait_for(queue.get(), 1) == "a"
