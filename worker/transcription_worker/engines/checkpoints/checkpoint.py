"""What a checkpoint's file holds: the model's dimensions and its tensors, mapped into memory."""

import errno
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor
from whisper.model import ModelDimensions


@dataclass(frozen=True)
class Checkpoint:
    """`dims`: whisper.model.ModelDimensions. `tensors` under openai-whisper's names, in the type that the file has."""

    dims: Any
    tensors: dict[str, Tensor]


def read_pickled(path: Path) -> Checkpoint:
    """openai-whisper's .pt. Nothing of it but tensors and plain values is ever unpickled.

    Raises:
        pickle.UnpicklingError, RuntimeError, EOFError, KeyError, TypeError, ValueError, AssertionError: the file holds no Whisper model.
    """
    try:
        loaded = torch.load(path, map_location="cpu", weights_only=True, mmap=_is_zip(path))
    except OSError as error:
        if error.errno != errno.EINVAL:
            raise
        raise ValueError("a tensor lies where the file cannot be mapped") from error
    return Checkpoint(ModelDimensions(**loaded["dims"]), dict(loaded["model_state_dict"]))


def _is_zip(path: Path) -> bool:
    """Files of torch before 1.6 are none, and cannot be mapped."""
    with path.open("rb") as file:
        return file.read(4) == b"PK\x03\x04"
