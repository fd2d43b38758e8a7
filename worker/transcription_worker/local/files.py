"""The files that the local command transcribes, and what their results are called."""

import dataclasses
import os
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path

from transcription_api.choices import Channel, Naming
from transcription_api.layout import MEDIA_EXTENSIONS, result_name

from transcription_worker.local.plan import Plan
from transcription_worker.pipeline.local_source import LocalFile

FIRST_CHANNEL = 0


def find_files(plan: Plan) -> list[LocalFile]:
    """Find the files that are named and those in the folders that are named, each once, in order.

    A folder's files are taken by their extensions; a file that is named itself may be called anything.

    Raises:
        ValueError: a name is neither a file nor a folder with media.
    """
    found: dict[Path, LocalFile] = {}
    for named in plan.files:
        some = list(_in_folder(named, plan)) if named.is_dir() else [_file(named, plan.output_dir)]
        for file in some:
            found.setdefault(file.path.resolve(), file)
    return name_apart(list(found.values()))


def _file(path: Path, folder: Path) -> LocalFile:
    try:
        size = path.stat().st_size
    except OSError as error:
        raise ValueError(f"FILE: got {str(path)!r}, expected a file or a folder: {error.strerror}") from error
    return LocalFile(path, folder, result_name(path.name, Naming.STEM), size)


def _in_folder(top: Path, plan: Plan) -> Iterator[LocalFile]:
    """Find the media in a folder. Hidden files and folders are passed over; links to folders are not followed."""
    count = 0
    for folder, folders, names in os.walk(top):
        folders[:] = sorted(name for name in folders if plan.recursive and not name.startswith("."))
        for name in sorted(names):
            path = Path(folder) / name
            if path.suffix.lower() in MEDIA_EXTENSIONS and not name.startswith(".") and path.is_file():
                count += 1
                yield _file(path, plan.output_dir / path.parent.relative_to(top))
    if count == 0:
        hint = "" if plan.recursive else "; --recursive looks into folders below it"
        raise ValueError(f"FILE: got {str(top)!r}, expected a folder with audio or video{hint}")


def name_apart(files: Sequence[LocalFile]) -> list[LocalFile]:
    """Give files whose results would have the same names the full names of their files: a.mp3.txt beside a.wav.txt.

    The names depend on nothing but the files, so that another run over the same files finds its results. Files of one
    name from several folders cannot be told apart: of those the first has results.
    """
    named = list(files)
    while True:
        renamed = [_with_full_name(file) for group in _same_results(named) if len(group) > 1 for file in group]
        if all(file in named for file in renamed):
            break
        by_path = {file.path: file for file in renamed}
        named = [by_path.get(file.path, file) for file in named]
    firsts = {file.path: group[0].path for group in _same_results(named) for file in group[1:]}
    return [dataclasses.replace(file, taken_by=firsts.get(file.path)) for file in named]


def _with_full_name(file: LocalFile) -> LocalFile:
    return dataclasses.replace(file, stem=result_name(file.path.name, Naming.FULL))


def _same_results(files: Iterable[LocalFile]) -> list[list[LocalFile]]:
    """Group the files by the names of their results. Names that differ in case alone are the same on some file systems."""
    groups: dict[str, list[LocalFile]] = {}
    for file in files:
        groups.setdefault(str(file.folder / file.stem).casefold(), []).append(file)
    return list(groups.values())


def renaming_notice(files: Iterable[LocalFile]) -> str | None:
    """Return a line that names the files whose results keep the extension of the file; None if there are none."""
    full = [file.name for file in files if file.stem != result_name(file.path.name, Naming.STEM)]
    if not full:
        return None
    return f"results named with their extension, since several files have one name: {', '.join(full)}"


def make_output_folder(folder: Path) -> None:
    """Make the output folder before anything is transcribed.

    Raises:
        ValueError: nothing can be written there.
    """
    words = "not writable"
    try:
        folder.mkdir(parents=True, exist_ok=True)
        if os.access(folder, os.W_OK | os.X_OK):
            return
    except OSError as error:
        words = error.strerror or type(error).__name__
    raise ValueError(f"--output-dir: got {str(folder)!r}, expected a folder to write to: {words}")


def is_done(file: LocalFile, plan: Plan) -> bool:
    """Whether every format is there. Of channels that are apart the first is written last, so it speaks for the others."""
    if file.taken_by is not None:
        return False  # what is there belongs to the other file
    channel = FIRST_CHANNEL if plan.channel is Channel.SPLIT else None
    return all(file.result(fmt, channel).is_file() for fmt in plan.formats)
