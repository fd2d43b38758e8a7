"""CUDA graphs: a decode step of several hundred kernels is launched as one."""

from collections.abc import Callable, Hashable

import torch


class CudaGraphRunner:
    """On a GPU, runs an action the first time, captures it the second time and replays the graph from then on.

    On other devices every action is just run.
    """

    def __init__(self, device: torch.device) -> None:
        self._captures = device.type == "cuda"
        self._warmed_up: set[Hashable] = set()
        self._graphs: dict[Hashable, torch.cuda.CUDAGraph] = {}
        self._pool = torch.cuda.graph_pool_handle() if self._captures else None

    def run(self, key: Hashable, action: Callable[[], None]) -> None:
        """Run the action. Actions with the same key must do the same with the same tensors."""
        if not self._captures:
            action()
        elif key in self._graphs:
            self._graphs[key].replay()
        elif key in self._warmed_up:
            self._capture(key, action)
        else:
            # A capture needs a run before it, in which libraries allocate their workspaces.
            self._warmed_up.add(key)
            action()

    def _capture(self, key: Hashable, action: Callable[[], None]) -> None:
        graph = torch.cuda.CUDAGraph()
        # Prefetching threads use the GPU in the meantime; "thread_local" allows that.
        with torch.cuda.graph(graph, pool=self._pool, capture_error_mode="thread_local"):
            action()
        self._graphs[key] = graph
        graph.replay()
