"""A model of CTranslate2 becomes the checkpoint of openai-whisper that it was made from."""

import hashlib
import struct
from dataclasses import asdict
from pathlib import Path

import pytest
import torch
from transcription_worker.engines.checkpoints.checkpoint import read_pickled
from transcription_worker.engines.faster_whisper.conversion import write_model

from hack.realmodel import package
from hack.realmodel.conversion import convert
from hack.realmodel.ctranslate2_file import read_tensors
from tests.support.testmodel import model_path


@pytest.fixture(scope="module")
def model_bin(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return the test model as CTranslate2 opens it."""
    folder = tmp_path_factory.mktemp("converted")
    write_model(read_pickled(model_path()), None, folder)
    return folder / "model.bin"


def test_converting_there_and_back_gives_the_same_tensors_bit_for_bit(model_bin: Path, tmp_path: Path) -> None:
    convert(model_bin, tmp_path / "model.pt")
    expected, found = read_pickled(model_path()), read_pickled(tmp_path / "model.pt")
    assert asdict(found.dims) == asdict(expected.dims)
    assert found.tensors.keys() == expected.tensors.keys()
    for name, tensor in expected.tensors.items():
        assert found.tensors[name].dtype is tensor.dtype, name
        assert torch.equal(found.tensors[name], tensor), name


def test_a_file_of_another_version_is_refused_by_its_number(tmp_path: Path) -> None:
    (tmp_path / "model.bin").write_bytes(struct.pack("<I", 7))
    with pytest.raises(ValueError, match="version 7 of CTranslate2's format; expected 6"):
        read_tensors(tmp_path / "model.bin")


def test_a_file_that_goes_on_after_its_last_tensor_is_refused(model_bin: Path, tmp_path: Path) -> None:
    (tmp_path / "model.bin").write_bytes(model_bin.read_bytes() + b"more")
    with pytest.raises(ValueError, match="4 bytes after the last tensor"):
        read_tensors(tmp_path / "model.bin")


def test_another_file_under_the_packages_name_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    expected = hashlib.sha256(b"").hexdigest()
    monkeypatch.setattr(package, "SHA256", expected)
    with pytest.raises(ValueError, match=f"expected {expected}"):
        package.model_bin()
