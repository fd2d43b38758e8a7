"""The files that the local command transcribes, and which of a folder it leaves out."""

import functools
import os
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from pathlib import Path

from transcription_api.choices import Channel, Format, Naming
from transcription_api.layout import MEDIA_EXTENSIONS, result_name

from transcription_worker.local.plan import Plan
from transcription_worker.local.result_names import name_apart
from transcription_worker.local.whole_results import are_whole
from transcription_worker.pipeline.local_source import LocalFile

# Extensions of media that are not in MEDIA_EXTENSIONS, which says what the results in a bucket are called and cannot grow.
MORE_EXTENSIONS = frozenset(
    ".3ga .3gpp .aa3 .divx .dv .f4v .m1a .m2a .m2t .mpa .nist .nut .qt .shn .sph .thd .vox .wave .wtv".split()
)
EXTENSIONS = MEDIA_EXTENSIONS | MORE_EXTENSIONS
# What results are called: a folder that holds those of an earlier run has nothing to say about them.
RESULT_EXTENSIONS = frozenset(f".{fmt.value}" for fmt in Format)
# Lines for what is left out for one reason.
MOST_NAMES = 100
FIRST_CHANNEL = 0


@dataclass
class Found:
    """The files to transcribe, each once and in order, and what of the folders is not looked at.

    A file or folder that is there but cannot be read is among `files`, where it fails by name. `others` are files without an
    extension of media, `links` are links to folders, and `below` are folders that --recursive would look into.
    """

    files: list[LocalFile] = field(default_factory=list)
    others: list[Path] = field(default_factory=list)
    links: list[Path] = field(default_factory=list)
    below: list[Path] = field(default_factory=list)

    @property
    def left_out(self) -> int:
        """How many files and folders are not looked at."""
        return len(self.others) + len(self.links) + len(self.below)


def find_files(plan: Plan) -> Found:
    """Find the files that are named and those in the folders that are named.

    A folder's files are taken by their extensions; a file that is named itself may be called anything. Two names of one file,
    such as a link, have results each, unless those would be called the same.

    Raises:
        ValueError: a name is neither a file nor a folder with media.
    """
    found = Found()
    for named in plan.files:
        if _holds(named.is_dir):
            _look_into(named, plan, found)
        else:
            found.files.append(_named_file(named, plan.output_dir))
    entries: dict[str, LocalFile] = {}
    for file in found.files:
        entries.setdefault(_entry(file.path), file)
    results: dict[tuple[str, Path, str], LocalFile] = {}
    for entry, file in entries.items():
        real = os.path.realpath(entry) if _holds(Path(entry).is_symlink) else entry
        results.setdefault((real, file.folder, file.path.name), file)
    found.files = name_apart(list(results.values()))
    found.others = [path for path in found.others if _entry(path) not in entries]
    return found


def largest_first(files: Iterable[LocalFile]) -> list[LocalFile]:
    """Return the files in the order in which they are transcribed, those of a size as they were found.

    One window of a file follows the other, so a long file that is begun last keeps one core busy, or a GPU with one row, while
    nothing else is left. As in a shard: Graham's longest processing time first (1969).
    """
    return sorted(files, key=lambda file: -file.size)


def _holds(question: Callable[[], bool]) -> bool:
    """Return the answer, which is False where a closed folder keeps it from being known."""
    try:
        return question()
    except OSError:
        return False


def _entry(path: Path) -> str:
    """Return the one name of an entry of a folder, whatever links lead to the folder. It may be a link itself."""
    return f"{_real_folder(path.parent.absolute())}/{path.name}"


@functools.cache
def _real_folder(folder: Path) -> str:
    return os.path.realpath(folder)


def _named_file(path: Path, folder: Path) -> LocalFile:
    try:
        return _file(path, folder, path.stat().st_size)
    except OSError as error:
        if _holds(path.is_symlink):  # it is no typing error, and fails by name when it is its turn
            return _file(path, folder)
        raise ValueError(f"FILE: got {str(path)!r}, expected a file or a folder: {error.strerror}") from error


def _file(path: Path, folder: Path, size: int = 0) -> LocalFile:
    return LocalFile(path, folder, result_name(path.name, Naming.STEM), size)


def _look_into(top: Path, plan: Plan, found: Found) -> None:
    """Find the media in a folder. Hidden files and folders are passed over; links to folders are not followed."""
    before = len(found.files)
    closed: list[OSError] = []
    for folder, folders, names in os.walk(top, onerror=closed.append):
        place = Path(folder)
        kept = sorted(name for name in folders if not name.startswith("."))
        links = [name for name in kept if _holds((place / name).is_symlink)]
        found.links += [place / name for name in links if plan.recursive]
        found.below += [place / name for name in kept if not plan.recursive]
        folders[:] = [name for name in kept if plan.recursive and name not in links]
        results = plan.output_dir / place.relative_to(top)
        found.files += _media(place, sorted(names), results, found.others)
    for error in closed:
        if Path(error.filename) == top:
            raise ValueError(f"FILE: got {str(top)!r}, expected a folder that can be listed: {error.strerror}")
        found.files.append(_file(Path(error.filename), plan.output_dir))
    if len(found.files) == before:
        hint = "" if plan.recursive else "; --recursive looks into folders below it"
        raise ValueError(f"FILE: got {str(top)!r}, expected a folder with audio or video{hint}")


def _media(place: Path, names: list[str], results: Path, others: list[Path]) -> Iterator[LocalFile]:
    """Yield the files of one folder whose names are those of media, and add the rest to `others`."""
    for name in names:
        path = place / name
        extension = path.suffix.lower()
        if name.startswith(".") or extension in RESULT_EXTENSIONS:
            continue
        if extension not in EXTENSIONS:
            others.append(path)
            continue
        try:
            size = path.stat().st_size
        except OSError:  # it fails by name when it is its turn
            size = 0
        yield _file(path, results, size)


def left_out(found: Found) -> Iterator[str]:
    """Yield a line for each file and folder that is not looked at, up to MOST_NAMES of a kind, and counts of more."""
    kinds = (
        (found.others, "no extension of audio or video; a file that is named itself may be called anything"),
        (found.links, "a link to a folder, which is not followed"),
        (found.below, "a folder below; --recursive looks into it"),
    )
    for paths, words in kinds:
        yield from (f"left out {path}: {words}" for path in paths[:MOST_NAMES])
        if len(paths) > MOST_NAMES:
            yield f"left out {len(paths) - MOST_NAMES} more: {words}"


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
    """Whether every format is there, and whole. Of channels that are apart the first is written last and speaks for all."""
    if file.taken_by is not None:
        return False  # what is there belongs to the other file
    channel = FIRST_CHANNEL if plan.audio.channel is Channel.SPLIT else None
    return are_whole({fmt: file.result(fmt, channel) for fmt in plan.formats})
