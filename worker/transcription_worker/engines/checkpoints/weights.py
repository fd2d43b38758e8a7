"""Weights of models: which files openai-whisper publishes, loading a checkpoint, and which official model it is."""

import contextlib
import pickle
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import torch
import whisper
from safetensors import SafetensorError
from transcription_api import reasons
from transcription_api.spec import Precision
from whisper.audio import N_FRAMES

from transcription_worker.engines.checkpoints.checkpoint import Checkpoint, read_pickled
from transcription_worker.engines.checkpoints.model_builder import build
from transcription_worker.engines.checkpoints.precision import dtype_of
from transcription_worker.engines.checkpoints.published import PUBLISHED
from transcription_worker.engines.checkpoints.safetensors_file import is_safetensors, read_safetensors
from transcription_worker.engines.memory import host_or_device_memory
from transcription_worker.errors import WorkerError

# Raised by reading a file or building its model if it is not a checkpoint.
_NO_CHECKPOINT = (
    SafetensorError,
    AssertionError,
    pickle.UnpicklingError,
    RuntimeError,
    EOFError,
    KeyError,
    TypeError,
    ValueError,
    AttributeError,
    IndexError,
)

SMALLEST_VOCABULARY = 51864  # tokens: that of the models of English alone
MELS = (80, 128)  # of which whisper.audio has filters
AUDIO_CONTEXT = N_FRAMES // 2  # the encoder halves a window's frames, and takes no other length

# (mels, vocabulary, audio layers, audio width, text layers) of the official models. large-v1 and large-v2 have the same and are
# told apart by their digests.
_BY_SHAPE = {
    (80, 51864, 4, 384, 4): "tiny.en",
    (80, 51865, 4, 384, 4): "tiny",
    (80, 51864, 6, 512, 6): "base.en",
    (80, 51865, 6, 512, 6): "base",
    (80, 51864, 12, 768, 12): "small.en",
    (80, 51865, 12, 768, 12): "small",
    (80, 51864, 24, 1024, 24): "medium.en",
    (80, 51865, 24, 1024, 24): "medium",
    (128, 51866, 32, 1280, 32): "large-v3",
    (128, 51866, 32, 1280, 4): "large-v3-turbo",
}


def load(path: Path, sha256: str, device: str, name: str, precision: Precision | None = None) -> Any:
    """Load a model onto its device, as whisper.load_model does, from openai-whisper's format or from safetensors.

    name: for error messages. precision: what the weights are stored in, see model_builder.stored_type; None for float32, as
    load_model stores them.

    Raises:
        WorkerError: ModelInvalid, OutOfMemory, GPUFault, EngineUnsuitable.
    """
    where = torch.device(device)
    dtype = torch.float32 if precision is None else dtype_of(precision, where)
    with checkpoint_errors(name), host_or_device_memory(f"loading model {name!r} on {device}"):
        model = build(read_checkpoint(path), where, dtype)
    heads = whisper._ALIGNMENT_HEADS.get(official_name(model.dims, sha256) or "")
    if heads is not None:
        # Without alignment heads the word timestamps are worse.
        model.set_alignment_heads(heads)
    return model.to(where)


@contextlib.contextmanager
def checkpoint_errors(name: str) -> Iterator[None]:
    """Translate the errors of reading a checkpoint. name: the model's, for the message.

    Raises:
        WorkerError: ModelInvalid.
    """
    try:
        yield
    except _NO_CHECKPOINT as error:
        message = f"spec.model: {name!r} is no Whisper checkpoint: {type(error).__name__} while opening it"
        raise WorkerError(reasons.MODEL_INVALID, message) from error


def read_checkpoint(path: Path) -> Checkpoint:
    """Read a checkpoint in either format, whatever the file's name.

    Raises:
        WorkerError: ModelInvalid, for a vocabulary that lacks tokens of whisper.tokenizer, and for dimensions that the
            tensors may have and with which no audio can be transcribed.
        Others: see read_pickled and read_safetensors.
    """
    checkpoint = read_safetensors(path) if is_safetensors(path) else read_pickled(path)
    if checkpoint.dims.n_vocab < SMALLEST_VOCABULARY:
        message = (
            f"spec.model: got a vocabulary of {checkpoint.dims.n_vocab} tokens, expected at least {SMALLEST_VOCABULARY}"
        )
        raise WorkerError(reasons.MODEL_INVALID, message)
    for wrong in _wrong_dimensions(checkpoint.dims):
        raise WorkerError(reasons.MODEL_INVALID, f"spec.model: {wrong}")
    return checkpoint


def _wrong_dimensions(dims: Any) -> Iterator[str]:
    """Yield a sentence for each dimension that would only fail, or mean nothing, once there is audio."""
    if dims.n_mels not in MELS:
        yield f"got n_mels {dims.n_mels}, expected {' or '.join(map(str, MELS))}"
    if dims.n_audio_ctx != AUDIO_CONTEXT:
        yield f"got n_audio_ctx {dims.n_audio_ctx}, expected {AUDIO_CONTEXT}"
    for part in ("audio", "text"):
        heads, width = getattr(dims, f"n_{part}_head"), getattr(dims, f"n_{part}_state")
        if heads < 1 or width % heads:
            yield f"got n_{part}_head {heads} with n_{part}_state {width}, expected heads of equal width"


def official_name(dims: Any, sha256: str) -> str | None:
    """The official model with this digest or else, for fine-tuned models, with these dimensions; None if there is none."""
    for name, (digest, _) in PUBLISHED.items():
        if digest == sha256:
            return name
    shape = (dims.n_mels, dims.n_vocab, dims.n_audio_layer, dims.n_audio_state, dims.n_text_layer)
    return _BY_SHAPE.get(shape)


def set_threads(count: int) -> None:
    """Set the number of CPU threads that torch's operators use."""
    torch.set_num_threads(count)
