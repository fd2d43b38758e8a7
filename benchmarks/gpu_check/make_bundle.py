"""Write the folder that `make gpu-check` needs on a machine without a registry: `make gpu-check-bundle`.

Pure Python packages are taken from this environment, and so have the versions of the lock file, whatever Python the machine
has. Compiled ones (torch, Triton, NumPy, numba, safetensors, tiktoken) must be there already, or wheels of them put into the
folder. Programs are built for x86-64: ffmpeg is a static one, and espeak-ng comes with the libraries that it needs.
"""

import argparse
import importlib.metadata
import re
import shutil
import subprocess
import tarfile
import tempfile
import zipfile
from collections.abc import Sequence
from pathlib import Path

from benchmarks.gpu_check.bundle import FOLDER, PROGRAMS

PACKAGES = (
    "openai-whisper silero-vad more-itertools tqdm requests idna certifi urllib3 "
    "pytest pluggy iniconfig packaging pygments transcription-api transcription-worker"
).split()
FFMPEG = "imageio-ffmpeg==0.6.0"
# Silero's other models, which we do not load.
LEFT_OUT = (".onnx", ".pth", ".pyc")
ESPEAK_DATA = Path("/usr/lib/x86_64-linux-gnu/espeak-ng-data")
# Of espeak-ng's data what English and Portuguese need.
VOICES = (
    "phondata",
    "phonindex",
    "phontab",
    "intonations",
    "phondata-manifest",
    "en_dict",
    "pt_dict",
    "lang",
    "voices",
)
MEBIBYTE = 1 << 20
# What travels with the repository's own files, which are some 7 MiB.
MOST_MEBIBYTES = 52.0


def main(arguments: Sequence[str] | None = None) -> int:
    """Write the folder anew, and print what is in it with its size."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--folder", type=Path, default=FOLDER)
    parser.add_argument("--without-ffmpeg", action="store_true", help="download nothing")
    chosen = parser.parse_args(arguments)
    shutil.rmtree(chosen.folder, ignore_errors=True)
    chosen.folder.mkdir(parents=True)
    for name in PACKAGES:
        pack_installed(name, chosen.folder)
    pack_programs(chosen.folder / PROGRAMS)
    if not chosen.without_ffmpeg:
        pack_ffmpeg(chosen.folder)
    return 0 if print_sizes(chosen.folder) <= MOST_MEBIBYTES else 1


def pack_installed(name: str, folder: Path) -> Path:
    """Pack an installed package as a wheel has it.

    Raises:
        ValueError: it has compiled parts, which another Python could not load.
    """
    found = importlib.metadata.distribution(name)
    stem = re.sub(r"[-_.]+", "_", found.metadata["Name"])
    wheel = folder / f"{stem}-{found.version}-py3-none-any.whl"
    with zipfile.ZipFile(wheel, "w", zipfile.ZIP_DEFLATED, compresslevel=9) as packed:
        for file in found.files or ():
            if file.suffix == ".so":
                raise ValueError(f"{name}: got the compiled {file}, expected pure Python")
            if file.suffix not in LEFT_OUT and ".." not in file.parts:
                packed.write(str(file.locate()), str(file))
    return wheel


def pack_programs(archive: Path) -> None:
    """Pack espeak-ng with its libraries, the dynamic linker and the voices that the tests speak with."""
    program = shutil.which("espeak-ng")
    if program is None:
        raise FileNotFoundError("espeak-ng: not found on PATH; make install brings it")
    listed = subprocess.run(["ldd", program], check=True, capture_output=True, text=True).stdout
    libraries = [Path(path) for path in re.findall(r"(/\S+)", listed)]
    with tarfile.open(archive, "w:gz") as packed:
        packed.add(Path(program).resolve(), "espeak-ng/espeak-ng")
        for library in libraries:
            packed.add(library.resolve(), f"espeak-ng/{library.name}")
        for name in VOICES:
            packed.add(ESPEAK_DATA / name, f"espeak-ng/espeak-ng-data/{name}")


def pack_ffmpeg(folder: Path) -> None:
    """Download a wheel with a static ffmpeg, which is of no Python's version, and keep the program alone."""
    with tempfile.TemporaryDirectory() as place:
        command = ["uv", "pip", "install", "--quiet", "--no-deps", "--target", place, FFMPEG]
        subprocess.run(command, check=True)
        version = FFMPEG.partition("==")[2]
        with zipfile.ZipFile(folder / f"imageio_ffmpeg-{version}-py3-none-any.whl", "w", zipfile.ZIP_LZMA) as packed:
            for file in sorted(Path(place).glob("imageio_ffmpeg*/**/*")):
                if file.is_file():
                    packed.write(file, str(file.relative_to(place)))


def print_sizes(folder: Path) -> float:
    """Print every file, and return how much all of them are in MiB."""
    sizes = {path.name: path.stat().st_size / MEBIBYTE for path in sorted(folder.iterdir())}
    for name, size in sizes.items():
        print(f"{size:6.1f} MiB  {name}")
    whole = sum(sizes.values())
    print(f"{whole:6.1f} MiB  {folder}, of {MOST_MEBIBYTES:g} that may travel")
    return whole


if __name__ == "__main__":
    raise SystemExit(main())
