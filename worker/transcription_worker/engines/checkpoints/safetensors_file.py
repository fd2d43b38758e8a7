"""Checkpoints in safetensors, with openai-whisper's tensor names or those of Hugging Face's transformers.

For transformers this is model.safetensors. Larger models are split into several files, which must be joined first.
"""

import json
import re
from pathlib import Path
from typing import Any

import safetensors
from torch import Tensor
from whisper.model import ModelDimensions

from transcription_worker.engines.checkpoints.checkpoint import Checkpoint

# Key of the file's metadata: openai-whisper's `dims` as JSON. Without it they are derived from the tensors' shapes.
DIMS_KEY = "dims"
# Width of a head in every Whisper model; it cannot be derived from a shape.
HEAD_WIDTH = 64

# transformers' names to openai-whisper's, in this order.
_RENAMED = (
    (r"^model\.", ""),
    (r"^(encoder|decoder)\.embed_positions\.weight$", r"\1.positional_embedding"),
    (r"^decoder\.embed_tokens\.", "decoder.token_embedding."),
    (r"^encoder\.layer_norm\.", "encoder.ln_post."),
    (r"^decoder\.layer_norm\.", "decoder.ln."),
    (r"\.layers\.", ".blocks."),
    (r"\.self_attn_layer_norm\.", ".attn_ln."),
    (r"\.encoder_attn_layer_norm\.", ".cross_attn_ln."),
    (r"\.final_layer_norm\.", ".mlp_ln."),
    (r"\.self_attn\.", ".attn."),
    (r"\.encoder_attn\.", ".cross_attn."),
    (r"\.q_proj\.", ".query."),
    (r"\.k_proj\.", ".key."),
    (r"\.v_proj\.", ".value."),
    (r"\.out_proj\.", ".out."),
    (r"\.fc1\.", ".mlp.0."),
    (r"\.fc2\.", ".mlp.2."),
)
# The output projection, which is tied to the token embedding.
_TIED = "proj_out.weight"


def is_safetensors(path: Path) -> bool:
    """Whether a file is in safetensors, by its first bytes: eight of the header's length, then the header as JSON."""
    with path.open("rb") as file:
        return file.read(9)[8:] == b"{"


def read_safetensors(path: Path) -> Checkpoint:
    """Read a checkpoint. Its tensors are mapped into memory.

    Raises:
        SafetensorError, KeyError, TypeError, ValueError: the file holds no Whisper model.
    """
    with safetensors.safe_open(str(path), framework="pt") as file:
        tensors = {openai_name(name): file.get_tensor(name) for name in file.keys() if name != _TIED}  # noqa: SIM118
        metadata = file.metadata() or {}
    dims = metadata.get(DIMS_KEY)
    return Checkpoint(ModelDimensions(**json.loads(dims)) if dims else dims_of(tensors), tensors)


def openai_name(name: str) -> str:
    """openai-whisper's name for a tensor of transformers; its own names stay as they are."""
    for pattern, replacement in _RENAMED:
        name = re.sub(pattern, replacement, name)
    return name


def dims_of(tensors: dict[str, Tensor]) -> Any:
    """ModelDimensions derived from the tensors' shapes, with heads of HEAD_WIDTH.

    Raises:
        KeyError: a tensor is missing.
    """
    audio_ctx, audio_state = tensors["encoder.positional_embedding"].shape
    text_ctx, text_state = tensors["decoder.positional_embedding"].shape
    return ModelDimensions(
        n_mels=tensors["encoder.conv1.weight"].shape[1],
        n_audio_ctx=audio_ctx,
        n_audio_state=audio_state,
        n_audio_head=audio_state // HEAD_WIDTH,
        n_audio_layer=_layers(tensors, "encoder"),
        n_vocab=tensors["decoder.token_embedding.weight"].shape[0],
        n_text_ctx=text_ctx,
        n_text_state=text_state,
        n_text_head=text_state // HEAD_WIDTH,
        n_text_layer=_layers(tensors, "decoder"),
    )


def _layers(tensors: dict[str, Tensor], part: str) -> int:
    return len({name.split(".")[2] for name in tensors if name.startswith(f"{part}.blocks.")})
