"""Convert CTranslate2's Whisper model to a checkpoint of openai-whisper.

This undoes transcription_worker.engines.faster_whisper.conversion: projections that are concatenated there are taken apart.
"""

import dataclasses
import re
from pathlib import Path
from typing import Any

import torch
from torch import Tensor
from whisper.model import ModelDimensions

from hack.realmodel.ctranslate2_file import read_tensors

Tensors = dict[str, Tensor]
PROJECTIONS = ("query", "key", "value")


def convert(model_bin: Path, checkpoint: Path) -> None:
    """Write the checkpoint that whisper.load_model opens, with the weights in the precision that model.bin has.

    Raises:
        ValueError, KeyError: model.bin is no Whisper model of CTranslate2.
        OSError: the checkpoint cannot be written.
    """
    tensors = read_tensors(model_bin)
    # torch.save says of a path that cannot be written what its C++ asserts.
    with checkpoint.open("wb") as file:
        torch.save({"dims": dataclasses.asdict(dimensions(tensors)), "model_state_dict": weights(tensors)}, file)


def dimensions(tensors: Tensors) -> Any:
    """Return the ModelDimensions that the shapes of the tensors tell."""
    width, mels, _ = tensors["encoder/conv1/weight"].shape
    vocabulary, text_width = tensors["decoder/embeddings/weight"].shape
    return ModelDimensions(
        n_mels=mels,
        n_audio_ctx=len(tensors["encoder/position_encodings/encodings"]),
        n_audio_state=width,
        n_audio_head=int(tensors["encoder/num_heads"]),
        n_audio_layer=_layer_count(tensors, "encoder"),
        n_vocab=vocabulary,
        n_text_ctx=len(tensors["decoder/position_encodings/encodings"]),
        n_text_state=text_width,
        n_text_head=int(tensors["decoder/num_heads"]),
        n_text_layer=_layer_count(tensors, "decoder"),
    )


def _layer_count(tensors: Tensors, part: str) -> int:
    return len({found[0] for name in tensors if (found := re.match(rf"{part}/layer_\d+/", name))})


def weights(tensors: Tensors) -> Tensors:
    """Return the weights under openai-whisper's names."""
    found = {"decoder.token_embedding.weight": tensors["decoder/embeddings/weight"]}
    for name in ("conv1", "conv2"):
        found |= _linear(tensors, f"encoder/{name}", [f"encoder.{name}"])
    for part, norm in (("encoder", "ln_post"), ("decoder", "ln")):
        found[f"{part}.positional_embedding"] = tensors[f"{part}/position_encodings/encodings"]
        found |= _norm(tensors, f"{part}/layer_norm", f"{part}.{norm}")
        for number in range(_layer_count(tensors, part)):
            found |= _block(tensors, f"{part}/layer_{number}", f"{part}.blocks.{number}")
    return found


def _block(tensors: Tensors, layer: str, block: str) -> Tensors:
    own = [f"{block}.attn.{name}" for name in PROJECTIONS]
    found = _linear(tensors, f"{layer}/self_attention/linear_0", own)
    found |= _linear(tensors, f"{layer}/self_attention/linear_1", [f"{block}.attn.out"])
    found |= _norm(tensors, f"{layer}/self_attention/layer_norm", f"{block}.attn_ln")
    found |= _linear(tensors, f"{layer}/ffn/linear_0", [f"{block}.mlp.0"])
    found |= _linear(tensors, f"{layer}/ffn/linear_1", [f"{block}.mlp.2"])
    found |= _norm(tensors, f"{layer}/ffn/layer_norm", f"{block}.mlp_ln")
    if f"{layer}/attention/linear_0/weight" not in tensors:
        return found
    query, key, value = (f"{block}.cross_attn.{name}" for name in PROJECTIONS)
    found |= _linear(tensors, f"{layer}/attention/linear_0", [query])
    found |= _linear(tensors, f"{layer}/attention/linear_1", [key, value])
    found |= _linear(tensors, f"{layer}/attention/linear_2", [f"{block}.cross_attn.out"])
    return found | _norm(tensors, f"{layer}/attention/layer_norm", f"{block}.cross_attn_ln")


def _linear(tensors: Tensors, fused: str, names: list[str]) -> Tensors:
    """Return the weights and biases of projections whose rows were concatenated; that of the keys has no bias."""
    parts = tensors[f"{fused}/weight"].chunk(len(names)), tensors[f"{fused}/bias"].chunk(len(names))
    found: Tensors = {}
    for name, weight, bias in zip(names, *parts, strict=True):
        found[f"{name}.weight"] = weight.clone()
        if not name.endswith(".key"):
            found[f"{name}.bias"] = bias.clone()
    return found


def _norm(tensors: Tensors, layer: str, name: str) -> Tensors:
    return {f"{name}.weight": tensors[f"{layer}/gamma"], f"{name}.bias": tensors[f"{layer}/beta"]}
