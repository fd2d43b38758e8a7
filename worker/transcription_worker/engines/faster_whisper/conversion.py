"""Convert a checkpoint of openai-whisper to the CTranslate2 model that faster-whisper opens.

CTranslate2's own converter reads models of Hugging Face's transformers. The layers are the same; tensors are named and fused
here as in its WhisperLoader (ctranslate2.converters.transformers). Import this only where CTranslate2 is installed.
"""

import base64
import gzip
import itertools
import json
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
import whisper
from ctranslate2.specs import whisper_spec
from torch import Tensor
from whisper.tokenizer import LANGUAGES, get_tokenizer

from transcription_worker.engines.checkpoints.checkpoint import Checkpoint
from transcription_worker.engines.checkpoints.finite import refuse_not_finite
from transcription_worker.engines.faster_whisper.tokenizer import build_tokenizer, token_texts

# Increase it when the files written here change: conversions of each revision have a folder of their own.
REVISION = 1
MULTILINGUAL_VOCABULARY = 51865  # see whisper.model.Whisper.is_multilingual
MAX_LENGTH = 448  # tokens that faster-whisper may generate for a window: WhisperModel.max_length


def ensure_converted(checkpoint: Checkpoint, official: str | None, folder: Path) -> None:
    """Write the converted model to a folder unless it exists.

    The folder appears in one step, since two pods may convert at once: one of the results stays. official: the openai-whisper
    model whose alignment heads are used.

    Raises:
        ValueError, KeyError: CTranslate2 does not support the tensors or dimensions.
    """
    if folder.is_dir():
        return
    folder.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(prefix=".partial-", dir=folder.parent) as partial:
        done = Path(partial) / "done"
        done.mkdir()
        write_model(checkpoint, official, done)
        try:
            done.rename(folder)
        except OSError:
            # Another pod was faster: rename does not replace a folder that is not empty.
            if not folder.is_dir():
                raise


def write_model(checkpoint: Checkpoint, official: str | None, folder: Path) -> None:
    """Write model.bin in the checkpoint's precision, and the other files that faster-whisper reads."""
    for name, tensor in checkpoint.tensors.items():
        refuse_not_finite(name, tensor)
    spec = build_spec(checkpoint)
    tokenizer = get_tokenizer(_multilingual(checkpoint), num_languages=_language_count(checkpoint))
    set_config(spec.config, checkpoint, official, tokenizer)
    spec.register_vocabulary(token_texts(tokenizer.encoding))
    spec.validate()
    # Set explicitly: CTranslate2's optimize would find tied weights by comparing all of them.
    spec.decoder.projection.weight = "decoder/embeddings/weight"
    spec.save(str(folder))
    build_tokenizer(tokenizer.encoding).save(str(folder / "tokenizer.json"))
    features = json.dumps({"feature_size": checkpoint.dims.n_mels}, allow_nan=False)
    (folder / "preprocessor_config.json").write_text(features)


def build_spec(checkpoint: Checkpoint) -> Any:
    """Build a ctranslate2.specs.WhisperSpec with the checkpoint's weights.

    Raises:
        KeyError: a tensor is missing.
        ValueError: the text context is shorter than MAX_LENGTH.
    """
    dims, weights = checkpoint.dims, checkpoint.tensors
    if dims.n_text_ctx < MAX_LENGTH:
        raise ValueError(f"n_text_ctx: got {dims.n_text_ctx}, expected at least {MAX_LENGTH}")
    spec = whisper_spec.WhisperSpec(dims.n_audio_layer, dims.n_audio_head, dims.n_text_layer, dims.n_text_head)
    for name in ("conv1", "conv2"):
        _set_linear(getattr(spec.encoder, name), weights, [f"encoder.{name}"])
    _set_stack(spec.encoder, weights, "encoder", "ln_post")
    _set_stack(spec.decoder, weights, "decoder", "ln")
    spec.decoder.embeddings.weight = weights["decoder.token_embedding.weight"]
    spec.decoder.projection.weight = weights["decoder.token_embedding.weight"]
    return spec


def _set_stack(spec: Any, weights: dict[str, Tensor], part: str, norm: str) -> None:
    spec.position_encodings.encodings = weights[f"{part}.positional_embedding"]
    _set_norm(spec.layer_norm, weights, f"{part}.{norm}")
    for number, layer in enumerate(spec.layer):
        block = f"{part}.blocks.{number}"
        own = [f"{block}.attn.{name}" for name in ("query", "key", "value")]
        _set_linear(layer.self_attention.linear[0], weights, own)
        _set_linear(layer.self_attention.linear[1], weights, [f"{block}.attn.out"])
        _set_norm(layer.self_attention.layer_norm, weights, f"{block}.attn_ln")
        if part == "decoder":
            _set_cross_attention(layer.attention, weights, block)
        _set_linear(layer.ffn.linear_0, weights, [f"{block}.mlp.0"])
        _set_linear(layer.ffn.linear_1, weights, [f"{block}.mlp.2"])
        _set_norm(layer.ffn.layer_norm, weights, f"{block}.mlp_ln")


def _set_cross_attention(spec: Any, weights: dict[str, Tensor], block: str) -> None:
    _set_linear(spec.linear[0], weights, [f"{block}.cross_attn.query"])
    _set_linear(spec.linear[1], weights, [f"{block}.cross_attn.{name}" for name in ("key", "value")])
    _set_linear(spec.linear[2], weights, [f"{block}.cross_attn.out"])
    _set_norm(spec.layer_norm, weights, f"{block}.cross_attn_ln")


def _set_linear(spec: Any, weights: dict[str, Tensor], names: Sequence[str]) -> None:
    """Set several projections as one, their rows concatenated. Only the key projection has no bias."""
    parts = [weights[f"{name}.weight"] for name in names]
    biases = [
        weights.get(f"{name}.bias", torch.zeros(part.shape[0], dtype=part.dtype))
        for name, part in zip(names, parts, strict=True)
    ]
    spec.weight, spec.bias = torch.cat(parts), torch.cat(biases)


def _set_norm(spec: Any, weights: dict[str, Tensor], name: str) -> None:
    spec.gamma, spec.beta = weights[f"{name}.weight"], weights[f"{name}.bias"]


def set_config(config: Any, checkpoint: Checkpoint, official: str | None, tokenizer: Any) -> None:
    """Set the token ids of config.json. They suppress the same tokens as whisper.decoding does."""
    config.suppress_ids = sorted(tokenizer.non_speech_tokens)
    config.suppress_ids_begin = [*tokenizer.encode(" "), tokenizer.eot]
    config.lang_ids = sorted(tokenizer.all_language_tokens) if _multilingual(checkpoint) else []
    config.alignment_heads = alignment_heads(checkpoint.dims, official)


def alignment_heads(dims: Any, official: str | None) -> list[tuple[int, int]]:
    """(layer, head) of the official model's alignment heads; without one, all heads in the second half of the layers."""
    dump = whisper._ALIGNMENT_HEADS.get(official or "")
    if dump is None:
        return list(itertools.product(range(dims.n_text_layer // 2, dims.n_text_layer), range(dims.n_text_head)))
    heads = np.frombuffer(gzip.decompress(base64.b85decode(dump)), dtype=bool)
    layers, places = heads.reshape(dims.n_text_layer, dims.n_text_head).nonzero()
    return list(zip(layers.tolist(), places.tolist(), strict=True))


def _multilingual(checkpoint: Checkpoint) -> bool:
    return bool(checkpoint.dims.n_vocab >= MULTILINGUAL_VOCABULARY)


def _language_count(checkpoint: Checkpoint) -> int:
    """See whisper.model.Whisper.num_languages."""
    count = checkpoint.dims.n_vocab - MULTILINGUAL_VOCABULARY + len(LANGUAGES) - 1
    return int(count) if _multilingual(checkpoint) else len(LANGUAGES) - 1
