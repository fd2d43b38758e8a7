"""A step can be captured as a CUDA graph: nothing in it reads a value or copies between the host and the GPU.

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
from transcription_worker.engines.batched.decoding.logit_rules import LogitRules, RuleTensors
from transcription_worker.engines.batched.model.backend import choose_backend
from transcription_worker.engines.batched.model.decoder import Decoder
from transcription_worker.engines.batched.scheduling import decode_batch
from transcription_worker.engines.batched.scheduling.decode_batch import BatchKey, DecodeBatch
from whisper.model import ModelDimensions, TextDecoder

DIMENSIONS = ModelDimensions(80, 1500, 128, 2, 2, 51865, 448, 128, 2, 2)
GPU = torch.device("cuda")

# Operations that wait for the GPU, because they read a result or the number of results.
READS = ("aten::_local_scalar_dense", "aten::item", "aten::nonzero", "aten::masked_select", "aten::equal")


class HostAccess(TorchDispatchMode):  # type: ignore[misc]
    """Records operations that a capture refuses. A number in a tensor without dimensions is an argument, not a copy."""

    def __init__(self) -> None:
        super().__init__()
        self.refused: list[str] = []

    def __torch_dispatch__(self, operation: Any, _: Any, given: Any = (), named: Any = None) -> Any:
        result = operation(*given, **(named or {}))
        tensors = [one for one in tree_leaves((given, named, result)) if isinstance(one, torch.Tensor)]
        places = {one.device.type for one in tensors if one.ndim or one.device.type != "cpu"}
        if len(places) > 1 or operation.name() in READS:
            self.refused.append(f"{operation.name()} {[(one.device.type, tuple(one.shape)) for one in tensors]}")
        return result


class NoOp:
    """Replaces classes that need a GPU."""

    def __init__(self, device: torch.device) -> None:
        """Take the arguments of CudaGraphRunner and Readback."""


@pytest.fixture
def runner(monkeypatch: pytest.MonkeyPatch) -> Iterator[Any]:
    monkeypatch.setattr(decode_batch, "CudaGraphRunner", NoOp)
    monkeypatch.setattr(decode_batch, "Readback", NoOp)
    with FakeTensorMode(allow_non_fake_inputs=False), torch.inference_mode():
        with GPU:
            text = TextDecoder(DIMENSIONS.n_vocab, 448, 128, 2, 2)
        model = types.SimpleNamespace(decoder=text, dims=DIMENSIONS, device=GPU)
        decoder = Decoder(model, torch.float32, choose_backend(model, torch.float32))
        yield types.SimpleNamespace(model=model, dtype=torch.float32, device=GPU, decoder=decoder)


def rules(timestamps: bool) -> LogitRules:
    return LogitRules(50257, 50364, (1, 2, 7, 50358), (220, 50257), timestamps, 50)


@pytest.mark.parametrize("timestamps", [True, False])
@pytest.mark.parametrize(("group", "max_candidates", "sampling"), [(1, 0, False), (5, 5, False), (5, 0, True)])
def test_a_step_neither_waits_for_the_gpu_nor_copies_from_the_host(
    runner: Any, timestamps: bool, group: int, max_candidates: int, sampling: bool
) -> None:
    batch: DecodeBatch[None] = DecodeBatch(runner, BatchKey(group, max_candidates, sampling, rules(timestamps)), 8)
    with HostAccess() as accesses:
        batch._decode_step(8, 64)
    assert not accesses.refused


def test_what_a_capture_would_refuse_is_found(runner: Any) -> None:
    there = torch.zeros(4, 9, device=GPU)
    with HostAccess() as accesses:
        there[:, [1, 2]] = 1.0
        RuleTensors.of(rules(True), GPU)
        there[:, 0].sum() * 2
    assert accesses.refused
    assert all("cpu" in one for one in accesses.refused)
