"""Cross-attention and self-attention of a decode step on a GPU, by the Triton kernels."""

from torch import Tensor

from transcription_worker.engines.batched.kernels.triton_kernels import MAX_QUERIES, cross_attention, self_attention
from transcription_worker.engines.batched.model.cross_attention import CacheTensors, CrossAttention
from transcription_worker.engines.batched.model.float8_attention import Float8CrossAttention
from transcription_worker.engines.batched.model.self_attention import IndirectSelfAttention


class TritonCrossAttention(CrossAttention):
    """Reads keys and values once for all queries of a slot, and not at all where the slot's rows are finished."""

    def prefill(self, layer: int, hidden: Tensor, cache: CacheTensors, slots: slice) -> Tensor:
        """See CrossAttention.prefill. Short prompts take the kernel: those of torch compute at least 64 queries."""
        if hidden.shape[1] > MAX_QUERIES:
            return super().prefill(layer, hidden, cache, slots)
        attended = cross_attention(self._query[layer](hidden), *(one[layer, slots] for one in cache))
        return self._out[layer](attended)

    def step(self, layer: int, hidden: Tensor, cache: CacheTensors, slots: int, finished: Tensor) -> Tensor:
        """See CrossAttention.step."""
        group = hidden.shape[0] // slots
        if group > MAX_QUERIES:
            return super().step(layer, hidden, cache, slots, finished)
        queries = self._query[layer](hidden).view(slots, group, -1)
        attended = cross_attention(queries, *(one[layer, :slots] for one in cache), finished=finished)
        return self._out[layer](attended.flatten(0, 1))


class TritonFloat8CrossAttention(Float8CrossAttention, TritonCrossAttention):
    """Reads keys and values in 8 bits, as they are stored. Prompts of more queries than a tile has go by way of 16 bits."""


class TritonSelfAttention(IndirectSelfAttention):
    """Reads each row's cache only up to its position."""

    attend = staticmethod(self_attention)
