"""A kernel is used only if it gives what torch gives, and sooner: both are run on the GPU at hand, on the same numbers.

Compilers, drivers and GPUs differ more than tests can cover, and a kernel that is fast on one GPU need not be on the next.
"""

import logging
import time
from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor

log = logging.getLogger(__name__)

# Greatest relative error of a kernel: both results are rounded to half precision.
TOLERANCE = {torch.float16: 0.004, torch.bfloat16: 0.03}
# Calls in one CUDA graph, how often its replay is timed, and seconds of warm-up before that.
CALLS_PER_GRAPH, TIMED_REPLAYS, WARM_UP = 20, 5, 0.05

# Returns the seconds that one call takes.
Clock = Callable[[Callable[[], Tensor]], float]


@dataclass(frozen=True)
class KernelTrial:
    """A kernel and torch's own implementation, called on the same inputs."""

    kernel: Callable[[], Tensor]
    torch_kernel: Callable[[], Tensor]


def passes_trial(name: str, prepare: Callable[[], KernelTrial], clock: Clock) -> bool:
    """Whether the kernel is correct and faster than torch's; the log says so, or why not. It raises no error.

    name: of the kernel, for the log. prepare: makes the trial's inputs.
    """
    try:
        trial = prepare()
        error = relative_error(trial.kernel(), expected := trial.torch_kernel())
        if not error <= TOLERANCE[expected.dtype]:  # true for NaN as well
            log.warning("%s has a relative error of %.2g: using torch's kernel", name, error)
            return False
        ours, theirs = clock(trial.kernel), clock(trial.torch_kernel)
    except Exception as error:  # whatever the reason, torch's kernel works
        log.warning("%s does not run here (%s): using torch's kernel", name, type(error).__name__, exc_info=error)
        return False
    log.info("%s: %.1f µs, torch's kernel %.1f µs", name, ours * 1e6, theirs * 1e6)
    return ours < theirs


def relative_error(found: Tensor, expected: Tensor) -> float:
    """The norm of the difference, relative to that of `expected`; each tensor is taken as one vector."""
    return float((found.float() - expected.float()).norm() / expected.float().norm())


def graph_seconds(action: Callable[[], Tensor]) -> float:
    """Seconds that the GPU takes for one call, without the host's part: replayed from a CUDA graph, as a decode step is."""
    action()
    graph = torch.cuda.CUDAGraph()
    with torch.cuda.graph(graph, capture_error_mode="thread_local"):
        for _ in range(CALLS_PER_GRAPH):
            action()
    until = time.monotonic() + WARM_UP
    while time.monotonic() < until:  # a GPU raises its clock rate under load
        graph.replay()
        torch.cuda.synchronize()
    return min(_replay_seconds(graph) for _ in range(TIMED_REPLAYS)) / CALLS_PER_GRAPH


def _replay_seconds(graph: torch.cuda.CUDAGraph) -> float:
    start, end = (torch.cuda.Event(enable_timing=True) for _ in range(2))
    start.record()
    graph.replay()
    end.record()
    end.synchronize()
    return float(start.elapsed_time(end)) / 1000
