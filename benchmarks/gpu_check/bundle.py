"""What travels to a machine that cannot reach a registry: wheels of packages that it may lack, and programs.

`make gpu-check-bundle` writes the folder (`make_bundle`), and the check unpacks from it what the machine lacks. The
machine's own packages always go first: torch, Triton and whatever else is compiled must be of its own Python.
"""

import importlib.metadata
import importlib.util
import os
import shutil
import tarfile
import zipfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).parents[2]
FOLDER = ROOT / "build" / "gpu-check-bundle"
PROGRAMS = "programs.tar.gz"
# The dynamic linker beside the programs, with which they run on a machine that has another C library.
LINKER = "ld-linux-x86-64.so.2"
FFMPEG = "imageio_ffmpeg/binaries/ffmpeg-*"
# Packages with compiled parts that the machine must have, by the name that they are imported by.
COMPILED = ("torch", "numpy", "numba", "safetensors", "tiktoken")


@dataclass(frozen=True)
class Unpacked:
    """The environment of the parts, and sentences about what was taken from the bundle or is missing."""

    env: dict[str, str]
    notes: tuple[str, ...]


def unpack(bundle: Path, folder: Path) -> Unpacked:
    """Unpack what this machine lacks into `folder`, and return the environment in which the parts find everything."""
    packages, programs = folder / "packages", folder / "bin"
    programs.mkdir(parents=True)
    needed = [wheel for wheel in sorted(bundle.glob("*.whl")) if not _is_installed(wheel)]
    wheels = [wheel for wheel in needed if zipfile.is_zipfile(wheel)]
    for wheel in wheels:
        with zipfile.ZipFile(wheel) as opened:
            opened.extractall(packages)  # noqa: S202 - zipfile keeps members inside
    _add_programs(bundle, folder, programs)
    paths = [ROOT, ROOT / "api", ROOT / "worker", packages, *map(Path, filter(None, [os.environ.get("PYTHONPATH")]))]
    env = os.environ | {
        "PYTHONPATH": os.pathsep.join(map(str, paths)),
        "PATH": f"{os.environ.get('PATH', os.defpath)}{os.pathsep}{programs}",
        "PYTHONUNBUFFERED": "1",
    }
    taken = [wheel.name.split("-")[0] for wheel in wheels]
    damaged = [f"damaged, and left out: {wheel}" for wheel in needed if wheel not in wheels]
    return Unpacked(env, (*_notes(bundle, taken, packages, programs), *damaged))


def _is_installed(wheel: Path) -> bool:
    try:
        importlib.metadata.distribution(wheel.name.split("-")[0])
    except importlib.metadata.PackageNotFoundError:
        return False
    return True


def _add_programs(bundle: Path, folder: Path, programs: Path) -> None:
    """Put programs of the bundle where PATH finds them, after the machine's own."""
    for ffmpeg in (folder / "packages").glob(FFMPEG):
        ffmpeg.chmod(0o755)
        (programs / "ffmpeg").symlink_to(ffmpeg)
    if (bundle / PROGRAMS).exists():
        with tarfile.open(bundle / PROGRAMS) as opened:
            opened.extractall(folder / "programs", filter="data")
        espeak = folder / "programs" / "espeak-ng"
        _write_starter(programs / "espeak-ng", espeak)


def _write_starter(starter: Path, folder: Path) -> None:
    starter.write_text(
        f'#!/bin/sh\nexport ESPEAK_DATA_PATH="{folder}"\n'
        f'exec "{folder}/{LINKER}" --library-path "{folder}" "{folder}/espeak-ng" "$@"\n'
    )
    starter.chmod(0o755)


def _notes(bundle: Path, taken: Sequence[str], packages: Path, programs: Path) -> list[str]:
    notes = [] if bundle.is_dir() else [f"no bundle in {bundle}: make gpu-check-bundle writes it"]
    if taken:
        notes.append(f"from the bundle: {', '.join(taken)}")
    path = f"{os.environ.get('PATH', os.defpath)}{os.pathsep}{programs}"
    lacking = [name for name in ("ffmpeg", "espeak-ng", "setpriv", "prlimit") if shutil.which(name, path=path) is None]
    if lacking:
        notes.append(f"programs that are missing, so that parts are skipped: {', '.join(lacking)}")
    absent = [name for name in COMPILED if importlib.util.find_spec(name) is None and not (packages / name).is_dir()]
    if absent:
        words = "compiled packages that this Python lacks; put wheels of them for it into the bundle"
        notes.append(f"{words}: {', '.join(absent)}")
    return notes
