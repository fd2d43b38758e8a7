"""Shards are of about the same work, and a pod is busy with one for as long as was asked for."""

import random

import pytest
from transcription_worker.batch.sharding import MAX_SHARDS, count_shards, divide, expected_work


@pytest.mark.parametrize(("seconds", "work"), [(0.0, 30.0), (2.0, 30.0), (30.0, 30.0), (30.1, 60.0), (3600.0, 3600.0)])
def test_a_file_costs_whole_windows_and_one_at_the_least(seconds: float, work: float) -> None:
    assert expected_work(seconds) == work


@pytest.mark.parametrize(
    ("hours", "files", "minutes", "speed", "shards"),
    [
        (1.0, 100, 10, 100.0, 1),  # 36 s of work
        (1000.0, 5000, 10, 100.0, 60),  # 10 hours of work, 6 shards an hour
        (100_000.0, 100_000, 1, 1.0, MAX_SHARDS),
        (100.0, 3, 1, 1.0, 3),  # no shard is empty
        (0.0, 0, 10, 100.0, 1),
    ],
)
def test_the_number_of_shards_keeps_a_pod_busy_for_the_minutes_that_were_asked_for(
    hours: float, files: int, minutes: float, speed: float, shards: int
) -> None:
    assert count_shards(hours * 3600.0, files, minutes, speed) == shards


def test_every_file_is_in_one_shard_and_the_longest_come_first() -> None:
    draw = random.Random(5)
    work = [expected_work(draw.expovariate(1 / 120.0)) for _ in range(500)]
    shards = divide(list(range(500)), work, 7)
    assert sorted(item for shard in shards for item in shard) == list(range(500))
    for shard in shards:
        assert [work[item] for item in shard] == sorted((work[item] for item in shard), reverse=True)


def test_no_shard_has_more_than_a_third_above_the_best_that_there_is() -> None:
    # The bound of the rule: 4/3 - 1/(3m) of the optimum, which is at least the mean and the longest file.
    draw = random.Random(7)
    for shards in (2, 3, 10):
        work = [draw.uniform(1.0, 5000.0) for _ in range(40)]
        loads = [sum(work[item] for item in shard) for shard in divide(list(range(40)), work, shards)]
        assert max(loads) <= (4 / 3) * max(sum(work) / shards, *work)
