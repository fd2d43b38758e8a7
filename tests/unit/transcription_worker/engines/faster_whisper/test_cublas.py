"""CTranslate2's cuBLAS is found in the package that brings it, or asked for by name."""

import shutil
import sys
from pathlib import Path

import pytest
import torch
from transcription_api import reasons
from transcription_worker.engines.faster_whisper import cublas
from transcription_worker.errors import WorkerError


@pytest.fixture(autouse=True)
def nothing_on_the_loaders_path(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let libraries load by full path only, since a machine with CUDA 12 has cuBLAS on the loader's path."""
    loads = cublas._loads
    monkeypatch.setattr(cublas, "_loads", lambda name: "/" in name and loads(name))


def package(folder: Path, names: tuple[str, ...]) -> None:
    """Lay out a package like the wheel, with a library that loads anywhere in the place of cuBLAS."""
    library = Path("/proc/self/maps").read_text()
    libm = next(line.split()[-1] for line in library.splitlines() if "/libm.so" in line or "/libm-" in line)
    for name in names:
        target = folder / "nvidia" / "cublas" / name
        target.parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(libm, target)


@pytest.mark.skipif(str(torch.version.cuda).startswith("12."), reason="this torch brings the package itself")
def test_the_packages_libraries_are_loaded(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    package(tmp_path, cublas.IN_PACKAGE)
    monkeypatch.syspath_prepend(str(tmp_path))
    cublas.load_cublas()
    assert str(tmp_path / "nvidia/cublas" / cublas.IN_PACKAGE[1]) in Path("/proc/self/maps").read_text()


@pytest.mark.parametrize("names", [(), cublas.IN_PACKAGE[:1]], ids=["none", "half"])
def test_without_them_the_extra_that_brings_them_is_named(
    names: tuple[str, ...], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    package(tmp_path, names)
    monkeypatch.setattr(sys, "path", [str(tmp_path)])
    monkeypatch.delitem(sys.modules, "nvidia", raising=False)
    monkeypatch.delitem(sys.modules, "nvidia.cublas", raising=False)
    with pytest.raises(WorkerError, match=r"no libcublas\.so\.12: install .*\[faster-whisper-cuda\]") as caught:
        cublas.load_cublas()
    assert caught.value.reason is reasons.ENGINE_NOT_INSTALLED
