"""A step can be recorded as a CUDA graph: nothing in it looks at a value or copies between the host and the GPU.

torch's fake tensors know where each tensor would be, without a GPU.
"""

import types
from collections.abc import Iterator
from typing import Any

import pytest
import torch
from torch._subclasses.fake_tensor import FakeTensorMode
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves
from transcription_worker.engines.batched.decoding.logit_rules import Columns, Rules
from transcription_worker.engines.batched.model.backend import choose_ways
from transcription_worker.engines.batched.model.decoder import Decoder
from transcription_worker.engines.batched.scheduling import decode_batch
from transcription_worker.engines.batched.scheduling.decode_batch import Kind, Lane
from whisper.model import ModelDimensions, TextDecoder

DIMENSIONS = ModelDimensions(80, 1500, 128, 2, 2, 51865, 448, 128, 2, 2)
GPU = torch.device("cuda")

# What waits for the GPU: the value, or the number, of what it has computed.
LOOKS = ("aten::_local_scalar_dense", "aten::item", "aten::nonzero", "aten::masked_select", "aten::equal")


class Watched(TorchDispatchMode):  # type: ignore[misc]
    """Operations that a recording refuses. A number that is a tensor of no dimension is an argument, not a copy."""

    def __init__(self) -> None:
        super().__init__()
        self.refused: list[str] = []

    def __torch_dispatch__(self, operation: Any, _: Any, given: Any = (), named: Any = None) -> Any:
        result = operation(*given, **(named or {}))
        tensors = [one for one in tree_leaves((given, named, result)) if isinstance(one, torch.Tensor)]
        places = {one.device.type for one in tensors if one.ndim or one.device.type != "cpu"}
        if len(places) > 1 or operation.name() in LOOKS:
            self.refused.append(f"{operation.name()} {[(one.device.type, tuple(one.shape)) for one in tensors]}")
        return result


class Nothing:
    """A recording itself needs a GPU, and so does a look past it."""

    def __init__(self, device: torch.device) -> None:
        """As Replays and Looking."""


@pytest.fixture
def compute(monkeypatch: pytest.MonkeyPatch) -> Iterator[Any]:
    monkeypatch.setattr(decode_batch, "Replays", Nothing)
    monkeypatch.setattr(decode_batch, "Looking", Nothing)
    with FakeTensorMode(allow_non_fake_inputs=False), torch.inference_mode():
        with GPU:
            text = TextDecoder(DIMENSIONS.n_vocab, 448, 128, 2, 2)
        model = types.SimpleNamespace(decoder=text, dims=DIMENSIONS, device=GPU)
        decoder = Decoder(model, torch.float32, choose_ways(model, torch.float32))
        yield types.SimpleNamespace(model=model, dtype=torch.float32, device=GPU, decoder=decoder)


def rules(timestamps: bool) -> Rules:
    return Rules(50257, 50364, (1, 2, 7, 50358), (220, 50257), timestamps, 50)


@pytest.mark.parametrize("timestamps", [True, False])
@pytest.mark.parametrize(("group", "wanted", "drawn"), [(1, 0, False), (5, 5, False), (5, 0, True)])
def test_a_step_neither_waits_for_the_gpu_nor_copies_from_the_host(
    compute: Any, timestamps: bool, group: int, wanted: int, drawn: bool
) -> None:
    windows: Lane[None] = Lane(compute, Kind(group, wanted, drawn, rules(timestamps)), 8)
    with Watched() as watched:
        windows._advance(8, 64)
    assert not watched.refused


def test_what_a_recording_would_refuse_is_seen(compute: Any) -> None:
    there = torch.zeros(4, 9, device=GPU)
    with Watched() as watched:
        there[:, [1, 2]] = 1.0
        Columns.of(rules(True), GPU)
        there[:, 0].sum() * 2
    assert watched.refused
    assert all("cpu" in one for one in watched.refused)
