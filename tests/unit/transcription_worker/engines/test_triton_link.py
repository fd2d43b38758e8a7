"""Triton finds its link to the driver in the image, and compiles what else it needs where there is a compiler."""

import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
import triton
from transcription_worker.engines.triton_link import ENV_LINK, use_prebuilt_link

# A launcher includes Python's header and is linked with libcuda, of which there is but a file of that name.
LAUNCHER = '#include <Python.h>\n#include "launcher.h"\nint answer(void) { return ANSWER; }\n'


@pytest.fixture
def link(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """Yield the link of an image that has a file of libcuda's name beside it, as that of CUDA 12 has."""
    folder = tmp_path / "triton"
    folder.mkdir()
    command = ["gcc", "-shared", "-Wl,-soname,libcuda.so.1", "-o", str(folder / "libcuda.so.1"), "-x", "c", "/dev/null"]
    subprocess.run(command, check=True)
    monkeypatch.setenv(ENV_LINK, str(folder / "cuda_utils.so"))
    with triton.knobs.build.scope(), triton.knobs.nvidia.scope():
        yield folder / "cuda_utils.so"


def build(name: str, folder: Path, link: Path, source: str = LAUNCHER) -> str:
    """Call the hook as Triton does."""
    (folder / "launcher.h").write_text("#define ANSWER 42\n")
    path = folder / f"{name}.c"
    path.write_text(source)
    impl = triton.knobs.build.impl
    assert impl is not None
    return str(impl(name, str(path), str(folder), [str(link.parent)], [str(folder)], ["libcuda.so.1"]))


def test_the_link_is_the_images_and_nothing_is_compiled(
    link: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    assert use_prebuilt_link()
    assert build("cuda_utils", tmp_path, link) == str(link)
    assert triton.knobs.nvidia.libcuda_path == str(link.parent)


def test_a_launcher_is_compiled_where_there_is_a_compiler(link: Path, tmp_path: Path) -> None:
    assert use_prebuilt_link()
    built = build("__triton_launcher", tmp_path, link)
    # On a GPU node torch has loaded libcuda before. In a process of its own, since a library of that name stays loaded.
    program = "import ctypes, sys; ctypes.CDLL(sys.argv[1]); sys.exit(ctypes.CDLL(sys.argv[2]).answer())"
    ran = subprocess.run([sys.executable, "-c", program, link.parent / "libcuda.so.1", built], check=False)
    assert ran.returncode == 42


def test_a_launcher_without_a_compiler_is_an_error_that_whisper_knows(
    link: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    assert use_prebuilt_link()
    with pytest.raises(RuntimeError, match="no C compiler to build '__triton_launcher'"):
        build("__triton_launcher", tmp_path, link)


def test_what_the_compiler_refuses_is_told_in_its_words(link: Path, tmp_path: Path) -> None:
    assert use_prebuilt_link()
    with pytest.raises(RuntimeError, match=r"did not build __triton_launcher\.so: (.|\n)*nonsense"):
        build("__triton_launcher", tmp_path, link, "nonsense")


def test_elsewhere_triton_is_left_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv(ENV_LINK, raising=False)
    assert not use_prebuilt_link()
