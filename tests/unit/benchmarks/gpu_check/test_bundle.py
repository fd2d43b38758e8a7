"""What a machine lacks comes from the bundle, and what it has is its own."""

import importlib.metadata
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

from benchmarks.gpu_check.bundle import LINKER, unpack
from benchmarks.gpu_check.make_bundle import main, pack_installed, pack_programs


def wheel(folder: Path, name: str) -> None:
    with zipfile.ZipFile(folder / f"{name}-1.0-py3-none-any.whl", "w") as packed:
        packed.writestr(f"{name}.py", "HERE = True\n")
        packed.writestr(f"{name}-1.0.dist-info/METADATA", f"Metadata-Version: 2.1\nName: {name}\nVersion: 1.0\n")


def test_a_package_that_is_missing_is_unpacked_and_one_that_is_there_is_not(tmp_path: Path) -> None:
    bundle = tmp_path / "bundle"
    bundle.mkdir()
    wheel(bundle, "nowhere_else")
    wheel(bundle, "numpy")
    found = unpack(bundle, tmp_path / "unpacked")
    assert found.notes[0] == "from the bundle: nowhere_else"
    program = "import nowhere_else, numpy; assert nowhere_else.HERE and not hasattr(numpy, 'HERE')"
    subprocess.run([sys.executable, "-c", program], env=found.env, check=True)


def test_a_wheel_that_was_cut_off_on_its_way_is_named_and_left_out(tmp_path: Path) -> None:
    bundle = tmp_path / "bundle"
    bundle.mkdir()
    wheel(bundle, "nowhere_else")
    (whole,) = bundle.iterdir()
    whole.write_bytes(whole.read_bytes()[:100])
    assert unpack(bundle, tmp_path / "unpacked").notes[-1] == f"damaged, and left out: {whole}"


def test_without_a_bundle_that_is_said(tmp_path: Path) -> None:
    notes = unpack(tmp_path / "none", tmp_path / "unpacked").notes
    assert "make gpu-check-bundle writes it" in notes[0]


def test_a_compiled_package_that_is_missing_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("benchmarks.gpu_check.bundle.COMPILED", ("numpy", "no_such_package"))
    notes = unpack(tmp_path / "none", tmp_path / "unpacked").notes
    assert notes[-1].endswith("put wheels of them for it into the bundle: no_such_package")


def test_whisper_is_packed_with_its_vocabulary_and_version(tmp_path: Path) -> None:
    packed = pack_installed("openai-whisper", tmp_path)
    with zipfile.ZipFile(packed) as opened:
        names = opened.namelist()
    assert "whisper/assets/multilingual.tiktoken" in names
    assert not [name for name in names if name.endswith((".so", ".pyc"))]
    version = importlib.metadata.version("openai-whisper")
    assert f"openai_whisper-{version}.dist-info/METADATA" in names


def test_a_package_for_one_python_alone_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=r"numpy: got the compiled .*, expected pure Python"):
        pack_installed("numpy", tmp_path)


def test_the_synthesiser_speaks_from_the_bundle_alone(tmp_path: Path) -> None:
    bundle = tmp_path / "bundle"
    bundle.mkdir()
    pack_programs(bundle / "programs.tar.gz")
    unpack(bundle, tmp_path / "unpacked")
    starter = tmp_path / "unpacked" / "bin" / "espeak-ng"
    assert LINKER in starter.read_text()
    for voice in ("en-gb-scotland", "pt-br+f2"):
        said = [subprocess.run([str(program), "-v", voice, "--stdout", "one two"], check=True, capture_output=True).stdout
                for program in (starter, "espeak-ng")]  # fmt: skip
        assert said[0] == said[1]
        assert len(said[0]) > 10_000


def test_sizes_are_printed_and_too_large_a_bundle_fails(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("benchmarks.gpu_check.make_bundle.PACKAGES", ["tqdm"])
    monkeypatch.setattr("benchmarks.gpu_check.make_bundle.pack_programs", lambda _: None)
    options = ["--folder", str(tmp_path / "bundle"), "--without-ffmpeg"]
    assert main(options) == 0
    assert "MiB  tqdm-" in capsys.readouterr().out
    monkeypatch.setattr("benchmarks.gpu_check.make_bundle.MOST_MEBIBYTES", 0.01)
    assert main(options) == 1
