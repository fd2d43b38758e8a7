"""The steps of a GPU by gpu_kernels, behind the same methods as torch's."""

from typing import Any

import torch
from torch import Tensor

from transcription_worker.engines.batched.kernels.triton_kernels import QUERIES, attend_audio, attend_text
from transcription_worker.engines.batched.model.cross_attention import Hearing, Kept
from transcription_worker.engines.batched.model.self_attention import Remembering


class HearingOnGpu(Hearing):
    """Reads the audio once for all queries of a slot."""

    def step(self, number: int, hidden: Tensor, kept: Kept, slots: int) -> Tensor:
        """As Hearing."""
        group = hidden.shape[0] // slots
        if group > QUERIES:
            return super().step(number, hidden, kept, slots)
        block = self._blocks[number]
        queries = block.query(hidden).view(slots, group, -1)
        out: Tensor = block.out(attend_audio(queries, *(one[number, :slots] for one in kept)).flatten(0, 1))
        return out


class RememberingOnGpu(Remembering):
    """Reads as far as each row has come, and no row is ever copied: `kept` has a third tensor, where each place of a row is.

    sources: (1, rows, n_text_ctx), in which row of its group a place is kept. A row writes its own places alone, and each
    once, so what another row goes on from stays there; its prompt is in every row of the group. TensorRT-LLM's cache
    indirection does the same.
    """

    def __init__(self, model: Any, dtype: torch.dtype) -> None:
        super().__init__(model, dtype)
        self.length_step = model.dims.n_text_ctx

    def empty(self, rows: int) -> Kept:
        """As Remembering, and `sources`."""
        sources = torch.zeros(1, rows, self._dims.n_text_ctx, dtype=torch.int8, device=self._device)
        return (*super().empty(rows), sources)

    def reach(self, positions: Tensor, length: int) -> Tensor:  # noqa: ARG002
        """The positions are all that is needed."""
        return positions

    def step(self, number: int, projected: Tensor, positions: Tensor, reach: Tensor, kept: Kept, group: int) -> Tensor:  # noqa: ARG002
        """As Remembering."""
        keys, values, sources = kept[0][number], kept[1][number], kept[2][0]
        return attend_text(projected, keys, values, sources, positions, group)

    def follow(self, kept: Kept, source: Tensor, length: int) -> None:  # noqa: ARG002
        """As Remembering."""
        kept[2][0, : source.shape[0]] = kept[2][0, source]

    def move(self, kept: Kept, before: slice, after: slice, length: int) -> None:
        """As Remembering."""
        super().move(kept[:2], before, after, length)
        kept[2][:, after] = kept[2][:, before]
