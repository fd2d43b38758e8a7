"""A kernel other than torch's is taken where it gives what torch's gives, and sooner: both are run on the GPU at hand, on the same
numbers.

Compilers, drivers and chips differ more than tests can know; and a kernel that was quick on one GPU need not be on the next.
"""

import logging
import time
from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor

log = logging.getLogger(__name__)

# How far the other may be from torch's, relative to the length of all of it as a vector; both are rounded to half precision.
TOLERANCE = {torch.float16: 0.004, torch.bfloat16: 0.03}
# Runs in one recording, and how often that is timed, after so many seconds.
RUNS, REPLAYS, WARM = 20, 5, 0.05

# Seconds of one run.
Clock = Callable[[Callable[[], Tensor]], float]


@dataclass(frozen=True)
class Contest:
    """Two ways to one result."""

    other: Callable[[], Tensor]
    torchs: Callable[[], Tensor]


def trusted(name: str, prepare: Callable[[], Contest], clock: Clock) -> bool:
    """Whether the other way is right and quicker; the log says so, or why not."""
    try:
        contest = prepare()
        off = distance(contest.other(), wanted := contest.torchs())
        if not off <= TOLERANCE[wanted.dtype]:  # what is no number is not right either
            log.warning("%s is off by %.2g: torch's way", name, off)
            return False
        other, torchs = clock(contest.other), clock(contest.torchs)
    except Exception as error:  # whatever keeps it from running, torch's way is there
        log.warning("%s does not run here (%s): torch's way", name, type(error).__name__, exc_info=error)
        return False
    log.info("%s: %.1f µs, torch's way %.1f µs", name, other * 1e6, torchs * 1e6)
    return other < torchs


def distance(other: Tensor, wanted: Tensor) -> float:
    """Relative, between vectors of all numbers."""
    return float((other.float() - wanted.float()).norm() / wanted.float().norm())


def graph_seconds(action: Callable[[], Tensor]) -> float:
    """On a GPU, without the host's part: recorded as a step is, and replayed."""
    action()
    graph = torch.cuda.CUDAGraph()
    with torch.cuda.graph(graph, capture_error_mode="thread_local"):
        for _ in range(RUNS):
            action()
    until = time.monotonic() + WARM
    while time.monotonic() < until:  # the GPU's clocks rise with work
        graph.replay()
        torch.cuda.synchronize()
    return min(_replay_seconds(graph) for _ in range(REPLAYS)) / RUNS


def _replay_seconds(graph: torch.cuda.CUDAGraph) -> float:
    start, end = (torch.cuda.Event(enable_timing=True) for _ in range(2))
    start.record()
    graph.replay()
    end.record()
    end.synchronize()
    return float(start.elapsed_time(end)) / 1000
