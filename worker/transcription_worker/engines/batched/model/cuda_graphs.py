"""CUDA graphs: a step of some hundred kernels is launched as one."""

from collections.abc import Callable, Hashable

import torch


class Replays:
    """On a GPU, an action on the same tensors is run once, recorded at its second call and replayed from then on."""

    def __init__(self, device: torch.device) -> None:
        self._records = device.type == "cuda"
        self._seen: set[Hashable] = set()
        self._graphs: dict[Hashable, torch.cuda.CUDAGraph] = {}
        self._pool = torch.cuda.graph_pool_handle() if self._records else None

    def run(self, key: Hashable, action: Callable[[], None]) -> None:
        """Actions with the same key must do the same on the same tensors."""
        if not self._records:
            action()
        elif key in self._graphs:
            self._graphs[key].replay()
        elif key in self._seen:
            self._record(key, action)
        else:
            # The first run is the warm-up that a recording needs: libraries allocate their workspaces.
            self._seen.add(key)
            action()

    def _record(self, key: Hashable, action: Callable[[], None]) -> None:
        graph = torch.cuda.CUDAGraph()
        # Other threads open files meanwhile, and use the GPU for that.
        with torch.cuda.graph(graph, pool=self._pool, capture_error_mode="thread_local"):
            action()
        self._graphs[key] = graph
        graph.replay()
