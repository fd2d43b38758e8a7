"""The files that the local command transcribes, and what their results are called."""

import os
from collections.abc import Iterable, Iterator
from pathlib import Path

from transcription_api.spec import Channel

from transcription_worker.local.plan import Plan
from transcription_worker.pipeline.local_source import LocalFile

# What is transcribed in a folder; a file that is named on the command line may be called anything.
EXTENSIONS = frozenset(
    ".3gp .aac .ac3 .aif .aiff .amr .ape .asf .au .avi .caf .dts .flac .flv .m4a .m4b .m4v .mka .mkv .mov .mp2 .mp3 .mp4 .mpeg "
    ".mpg .mts .oga .ogg .ogv .opus .ra .rm .spx .ts .tta .voc .w64 .wav .weba .webm .wma .wmv .wv".split()
)

FIRST_CHANNEL = 0


def find_files(plan: Plan) -> list[LocalFile]:
    """Those named, and those in folders named, each once, in order.

    Raises:
        ValueError: nothing is there, or two of them would write the same results.
    """
    found: dict[Path, LocalFile] = {}
    for named in plan.files:
        some = list(_in_folder(named, plan)) if named.is_dir() else [_file(named, plan.output_dir)]
        for file in some:
            found.setdefault(file.path.resolve(), file)
    files = list(found.values())
    _require_apart(files)
    return files


def _file(path: Path, folder: Path) -> LocalFile:
    try:
        size = path.stat().st_size
    except OSError as error:
        raise ValueError(f"FILE: got {str(path)!r}, expected a file or a folder: {error.strerror}") from error
    return LocalFile(path, folder, path.stem, size)


def _in_folder(top: Path, plan: Plan) -> Iterator[LocalFile]:
    """Hidden files and folders are passed over; links to folders are not followed."""
    count = 0
    for folder, folders, names in os.walk(top):
        folders[:] = sorted(name for name in folders if plan.recursive and not name.startswith("."))
        for name in sorted(names):
            path = Path(folder) / name
            if path.suffix.lower() in EXTENSIONS and not name.startswith(".") and path.is_file():
                count += 1
                yield _file(path, plan.output_dir / path.parent.relative_to(top))
    if count == 0:
        hint = "" if plan.recursive else "; --recursive looks into folders below it"
        raise ValueError(f"FILE: got {str(top)!r}, expected a folder with audio or video{hint}")


def _require_apart(files: Iterable[LocalFile]) -> None:
    """Names that differ in case alone are the same on some file systems."""
    taken: dict[str, LocalFile] = {}
    for file in files:
        other = taken.setdefault(str(file.folder / file.stem).casefold(), file)
        if other is not file:
            message = f"FILE: got {str(other.path)!r} and {str(file.path)!r}, expected names whose results differ: "
            raise ValueError(message + f"both would write {file.folder / file.stem}.*")


def make_output_folder(folder: Path) -> None:
    """Before anything is transcribed. Raises ValueError where nothing can be written."""
    words = "not writable"
    try:
        folder.mkdir(parents=True, exist_ok=True)
        if os.access(folder, os.W_OK | os.X_OK):
            return
    except OSError as error:
        words = error.strerror or type(error).__name__
    raise ValueError(f"--output-dir: got {str(folder)!r}, expected a folder to write to: {words}")


def is_done(file: LocalFile, plan: Plan) -> bool:
    """Every format is there. Of a split the first channel is written last, so it speaks for the others."""
    channel = FIRST_CHANNEL if plan.channel is Channel.SPLIT else None
    return all(file.result(fmt, channel).is_file() for fmt in plan.formats)
