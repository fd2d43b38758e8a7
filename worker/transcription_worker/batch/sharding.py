"""Divide files into shards of about the same expected work."""

import heapq
import math
from collections.abc import Sequence
from typing import TypeVar

T = TypeVar("T")

MAX_SHARDS = 1000
# Whisper looks at 30 s at a time, however little of them is audio.
WINDOW_SECONDS = 30.0


def expected_work(seconds: float) -> float:
    """Return the seconds of audio that a file costs: whole windows, and one at the least."""
    return WINDOW_SECONDS * max(1, math.ceil(seconds / WINDOW_SECONDS))


def count_shards(work: float, files: int, minutes: float, speed: float) -> int:
    """Return the number of shards of which each keeps a pod busy for `minutes`.

    `work` is in seconds of audio, `speed` in seconds of audio that a pod transcribes in a second.
    """
    return min(max(1, int(work / (minutes * 60.0 * speed))), MAX_SHARDS, max(files, 1))


def divide(items: Sequence[T], work: Sequence[float], shards: int) -> list[list[T]]:
    """Give each item, the longest first, to the shard that has the least work by then (Graham's LPT rule, 1969).

    Within a shard the longest come first, so that none of them is still alone at the end.
    """
    heap = [(0.0, number) for number in range(shards)]
    divided: list[list[T]] = [[] for _ in range(shards)]
    for position in sorted(range(len(items)), key=lambda position: (-work[position], position)):
        load, number = heapq.heappop(heap)
        divided[number].append(items[position])
        heapq.heappush(heap, (load + work[position], number))
    return divided
