"""A checkpoint: the model's dimensions and its tensors, mapped into memory."""

import errno
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor
from whisper.model import ModelDimensions


@dataclass(frozen=True)
class Checkpoint:
    """The contents of a checkpoint file.

    dims: whisper.model.ModelDimensions. tensors: under openai-whisper's names, in the file's type.
    """

    dims: Any
    tensors: dict[str, Tensor]


def read_pickled(path: Path) -> Checkpoint:
    """Read openai-whisper's .pt format. Only tensors and plain values are ever unpickled.

    Raises:
        pickle.UnpicklingError, RuntimeError, EOFError, KeyError, TypeError, ValueError, AssertionError: the file is not a
            checkpoint of openai-whisper.
    """
    try:
        loaded = torch.load(path, map_location="cpu", weights_only=True, mmap=_is_zip(path))
    except OSError as error:
        if error.errno != errno.EINVAL:
            raise
        raise ValueError("a tensor lies where the file cannot be mapped") from error
    return Checkpoint(ModelDimensions(**loaded["dims"]), dict(loaded["model_state_dict"]))


def _is_zip(path: Path) -> bool:
    """Whether the file is a zip archive. Files of torch before 1.6 are not, and cannot be mapped."""
    with path.open("rb") as file:
        return file.read(4) == b"PK\x03\x04"
