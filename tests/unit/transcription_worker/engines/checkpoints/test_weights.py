"""The model that is loaded is whisper.load_model's, whatever file its weights come from, and nothing is drawn at random for it."""

import dataclasses
import gzip
import json
import pickle
import re
from base64 import b85decode
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
import whisper
from safetensors.torch import save_file
from transcription_api import reasons
from transcription_api.spec import Precision
from transcription_worker.engines.checkpoints import weights
from transcription_worker.engines.checkpoints.model_builder import build
from transcription_worker.engines.checkpoints.published import file_of
from transcription_worker.engines.checkpoints.safetensors_file import dims_of
from transcription_worker.errors import WorkerError
from whisper.model import ModelDimensions, Whisper

from tests.support.testmodel import model_path

NO_DIGEST = "0" * 64
CPU = torch.device("cpu")
# A narrow model like each kind of official one: mels, vocabulary, layers of the encoder and of the decoder.
FAMILIES = {
    "english": (80, 51864, 2, 2),
    "multilingual": (80, 51865, 2, 2),
    "large-v3": (128, 51866, 3, 3),
    "turbo": (128, 51866, 4, 1),
}
HALF, BRAIN, FULL = torch.float16, torch.bfloat16, torch.float32


def dims_like(family: str) -> ModelDimensions:
    mels, vocabulary, audio_layers, text_layers = FAMILIES[family]
    return ModelDimensions(mels, 1500, 128, 2, audio_layers, vocabulary, 448, 128, 2, text_layers)


def drawn(dims: ModelDimensions, dtype: torch.dtype) -> dict[str, torch.Tensor]:
    torch.manual_seed(dims.n_vocab + dims.n_text_layer)
    shapes = {name: tensor.shape for name, tensor in Whisper(dims).state_dict().items()}
    return {name: (torch.randn(shape) * 0.05).to(dtype) for name, shape in shapes.items()}


@pytest.fixture(params=list(FAMILIES))
def dims(request: pytest.FixtureRequest) -> ModelDimensions:
    return dims_like(request.param)


@pytest.fixture(params=[HALF, FULL], ids=["half", "float"])
def checkpoint(request: pytest.FixtureRequest, dims: ModelDimensions, tmp_path: Path) -> Path:
    path = tmp_path / "model.pt"
    torch.save({"dims": dataclasses.asdict(dims), "model_state_dict": drawn(dims, request.param)}, path)
    return path


def load(path: Path, precision: Precision | None = None) -> Any:
    return weights.load(path, NO_DIGEST, "cpu", path.name, precision)


def state_of(model: Any) -> dict[str, torch.Tensor]:
    """Return the parameters and all buffers, including those that no checkpoint has."""
    buffers = {name: buffer.to_dense() for name, buffer in model.named_buffers()}
    return {name: parameter.detach() for name, parameter in model.named_parameters()} | buffers


def assert_same(model: Any, other: Any) -> None:
    ours, theirs = state_of(model), state_of(other)
    assert list(ours) == list(theirs)
    for name, tensor in theirs.items():
        assert (ours[name].dtype, ours[name].device) == (tensor.dtype, tensor.device), name
        assert torch.equal(ours[name], tensor), name
    assert model.dims == other.dims
    assert [p.requires_grad for p in model.parameters()] == [p.requires_grad for p in other.parameters()]


def test_every_tensor_is_that_of_load_model(checkpoint: Path) -> None:
    assert_same(load(checkpoint), whisper.load_model(str(checkpoint), device="cpu"))


def test_the_shipped_model_is_that_of_load_model() -> None:
    assert_same(load(model_path()), whisper.load_model(str(model_path()), device="cpu"))


def test_no_random_number_is_drawn(checkpoint: Path) -> None:
    before = torch.get_rng_state()
    load(checkpoint)
    assert torch.equal(torch.get_rng_state(), before)


def test_safetensors_with_openai_whispers_names_and_dims_give_the_same_model(checkpoint: Path, tmp_path: Path) -> None:
    loaded = torch.load(checkpoint, weights_only=True)
    save_file(loaded["model_state_dict"], tmp_path / "model", {"dims": json.dumps(loaded["dims"])})
    assert_same(load(tmp_path / "model"), load(checkpoint))


def test_a_file_of_transformers_gives_the_same_model(checkpoint: Path, tmp_path: Path) -> None:
    tensors = torch.load(checkpoint, weights_only=True)["model_state_dict"]
    renamed = {transformers_name(name): tensor for name, tensor in tensors.items()}
    renamed["proj_out.weight"] = renamed["model.decoder.embed_tokens.weight"].clone()
    save_file(renamed, tmp_path / "model.safetensors", {"format": "pt"})
    assert_same(load(tmp_path / "model.safetensors"), load(checkpoint))


def transformers_name(name: str) -> str:
    """Return transformers' name for an openai-whisper parameter, by the rules of transformers' conversion script."""
    for pattern, replacement in {
        "blocks": "layers",
        r"mlp\.0": "fc1",
        r"mlp\.2": "fc2",
        "mlp_ln": "final_layer_norm",
        r"\.attn\.query": ".self_attn.q_proj",
        r"\.attn\.key": ".self_attn.k_proj",
        r"\.attn\.value": ".self_attn.v_proj",
        r"\.attn_ln": ".self_attn_layer_norm",
        r"\.attn\.out": ".self_attn.out_proj",
        r"\.cross_attn\.query": ".encoder_attn.q_proj",
        r"\.cross_attn\.key": ".encoder_attn.k_proj",
        r"\.cross_attn\.value": ".encoder_attn.v_proj",
        r"\.cross_attn_ln": ".encoder_attn_layer_norm",
        r"\.cross_attn\.out": ".encoder_attn.out_proj",
        r"decoder\.ln\.": "decoder.layer_norm.",
        r"encoder\.ln_post\.": "encoder.layer_norm.",
        "token_embedding": "embed_tokens",
        "encoder.positional_embedding": "encoder.embed_positions.weight",
        "decoder.positional_embedding": "decoder.embed_positions.weight",
    }.items():
        name = re.sub(pattern, replacement, name)
    return f"model.{name}"


def test_dimensions_are_told_from_shapes(dims: ModelDimensions) -> None:
    assert dims_of(drawn(dims, HALF)) == dims


@pytest.mark.parametrize("precision", [Precision.FLOAT32, Precision.BFLOAT16, Precision.AUTO])
@pytest.mark.parametrize("stored", [HALF, FULL, BRAIN], ids=["half", "float", "bfloat"])
def test_what_is_stored_in_the_precision_used_computes_the_same(
    precision: Precision, stored: torch.dtype, tmp_path: Path
) -> None:
    dims = dims_like("multilingual")
    path = tmp_path / "model.pt"
    torch.save({"dims": dataclasses.asdict(dims), "model_state_dict": drawn(dims, stored)}, path)
    used = BRAIN if precision is Precision.BFLOAT16 else FULL
    model, plain = load(path, precision), whisper.load_model(str(path), device="cpu")
    assert model.encoder.blocks[0].mlp[0].weight.dtype is used
    assert model.encoder.blocks[0].mlp_ln.weight.dtype is FULL
    assert_computes_the_same(model, plain, used)


@pytest.mark.parametrize("family", list(FAMILIES))
def test_half_a_checkpoint_is_as_good_as_the_whole_where_half_is_used(family: str, tmp_path: Path) -> None:
    """On a CPU float16 is slow but correct, so the weights that a GPU would store can be compared here."""
    dims = dims_like(family)
    path = tmp_path / "model.pt"
    torch.save({"dims": dataclasses.asdict(dims), "model_state_dict": drawn(dims, HALF)}, path)
    model = build(weights.read_checkpoint(path), CPU, HALF)
    assert model.decoder.token_embedding.weight.dtype is HALF
    assert_computes_the_same(model, whisper.load_model(str(path), device="cpu"), HALF)


def assert_computes_the_same(model: Any, plain: Any, dtype: torch.dtype) -> None:
    torch.manual_seed(1)
    mel, tokens = torch.randn(1, plain.dims.n_mels, 3000).to(dtype), torch.tensor([[50258, 50259, 50359, 11, 12]])
    with torch.no_grad():
        assert torch.equal(model.embed_audio(mel), plain.embed_audio(mel))
        assert torch.equal(model(mel, tokens), plain(mel, tokens))


def test_weights_of_the_files_own_precision_are_mapped_not_copied(tmp_path: Path) -> None:
    dims = dims_like("multilingual")
    path = tmp_path / "model.pt"
    torch.save({"dims": dataclasses.asdict(dims), "model_state_dict": drawn(dims, FULL)}, path)
    model = load(path)
    (start, end), *_ = mapped_at(path)
    places = [parameter.data_ptr() for parameter in model.parameters()]
    assert places
    assert all(start <= place < end for place in places)


def mapped_at(path: Path) -> Iterator[tuple[int, int]]:
    for line in Path("/proc/self/maps").read_text().splitlines():
        if line.endswith(str(path)):
            first, last = line.split()[0].split("-")
            yield int(first, 16), int(last, 16)


@pytest.mark.parametrize("name", ["tiny.en", "base", "small", "medium.en", "large-v2", "large-v3", "turbo"])
def test_alignment_heads_are_set_for_a_digest(name: str) -> None:
    digest = file_of(name).sha256
    found = weights.official_name(dims_like("multilingual"), digest)
    assert whisper._ALIGNMENT_HEADS[found] == whisper._ALIGNMENT_HEADS[name]


def test_alignment_heads_of_a_fine_tuned_model_are_those_of_its_shape(tmp_path: Path) -> None:
    dims = ModelDimensions(80, 1500, 384, 6, 4, 51865, 448, 384, 6, 4)  # tiny
    torch.save({"dims": dataclasses.asdict(dims), "model_state_dict": drawn(dims, HALF)}, tmp_path / "own.pt")
    heads = np.frombuffer(gzip.decompress(b85decode(whisper._ALIGNMENT_HEADS["tiny"])), dtype=bool)
    found = load(tmp_path / "own.pt").alignment_heads.to_dense()
    assert torch.equal(found, torch.from_numpy(heads.copy()).view(4, 6))


class Harm:
    """An object whose unpickling creates a file."""

    def __reduce__(self) -> tuple[Any, ...]:
        return (Path.touch, (Path("harmed"),))


@pytest.mark.parametrize("old", [False, True], ids=["zip", "before-1.6"])
def test_a_checkpoint_that_would_run_code_is_refused(
    old: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    path = tmp_path / "model.pt"
    content = {"dims": dataclasses.asdict(dims_like("turbo")), "model_state_dict": {"a": Harm()}}
    torch.save(content, path, _use_new_zipfile_serialization=not old)
    with pytest.raises(WorkerError, match="is no Whisper checkpoint: UnpicklingError") as caught:
        load(path)
    assert caught.value.reason is reasons.MODEL_INVALID
    assert not Path("harmed").exists()


def test_a_checkpoint_of_old_torch_is_read_too(tmp_path: Path) -> None:
    dims = dims_like("multilingual")
    content = {"dims": dataclasses.asdict(dims), "model_state_dict": drawn(dims, HALF)}
    torch.save(content, tmp_path / "old.pt", _use_new_zipfile_serialization=False)
    torch.save(content, tmp_path / "new.pt")
    assert_same(load(tmp_path / "old.pt"), load(tmp_path / "new.pt"))


def spoilt(kind: str, path: Path) -> bytes:
    dims = dims_like("multilingual")
    tensors = drawn(dims, HALF)
    if kind == "tensor missing":
        del tensors["decoder.ln.weight"]
    if kind == "other shapes":
        tensors["encoder.conv1.weight"] = tensors["encoder.conv1.weight"][:, :70].contiguous()
    if kind.startswith("safetensors"):
        save_file({"a": torch.zeros(3)} if kind.endswith("others") else tensors, path)
    else:
        torch.save({"dims": dataclasses.asdict(dims), "model_state_dict": tensors}, path)
    return path.read_bytes()


@pytest.mark.parametrize(
    "kind",
    [
        "tensor missing",
        "other shapes",
        "cut",
        "empty",
        "text",
        "json",
        "pickle",
        "safetensors of others",
        "safetensors cut",
    ],
)
def test_what_is_no_whisper_model_is_refused_by_name(kind: str, tmp_path: Path) -> None:
    path = tmp_path / "model.bin"
    content = {"empty": b"", "text": b"not a model", "json": b'{"a": {"b": 1}}', "pickle": pickle.dumps([1], 2)}.get(
        kind
    )
    if content is None:
        content = spoilt(kind, path)
    path.write_bytes(content[: len(content) // 2] if kind.endswith("cut") else content)
    with pytest.raises(WorkerError, match=r"spec.model: 'model.bin' is no Whisper checkpoint: \w+ while") as caught:
        load(path)
    assert caught.value.reason is reasons.MODEL_INVALID


def test_a_vocabulary_without_whispers_tokens_is_refused_by_its_size(tmp_path: Path) -> None:
    dims = dataclasses.replace(dims_like("multilingual"), n_vocab=51863)
    torch.save({"dims": dataclasses.asdict(dims), "model_state_dict": drawn(dims, HALF)}, tmp_path / "own.pt")
    with pytest.raises(
        WorkerError, match=r"spec\.model: got a vocabulary of 51863 tokens, expected at least 51864"
    ) as caught:
        load(tmp_path / "own.pt")
    assert caught.value.reason is reasons.MODEL_INVALID


@pytest.mark.parametrize(
    ("changed", "words"),
    [
        ({"n_mels": 96}, "got n_mels 96, expected 80 or 128"),
        ({"n_audio_ctx": 750}, "got n_audio_ctx 750, expected 1500"),
        ({"n_audio_head": 3}, "got n_audio_head 3 with n_audio_state 128, expected heads of equal width"),
        ({"n_text_head": 0}, "got n_text_head 0 with n_text_state 128, expected heads of equal width"),
    ],
)
def test_dimensions_with_which_every_audio_would_fail_are_no_model(
    tmp_path: Path, changed: dict[str, int], words: str
) -> None:
    """Their tensors fit. The first file would fail as by a defect of the worker, and be tried again."""
    dims = dataclasses.replace(dims_like("multilingual"), **changed)
    path = tmp_path / "model.pt"
    torch.save({"dims": dataclasses.asdict(dims), "model_state_dict": drawn_like(dims)}, path)
    with pytest.raises(WorkerError, match=f"^ModelInvalid: spec.model: {words}$"):
        load(path)


def drawn_like(dims: ModelDimensions) -> dict[str, torch.Tensor]:
    """Return tensors of these dimensions, which do not depend on the heads."""
    return drawn(dataclasses.replace(dims, n_audio_head=2, n_text_head=2), HALF)
