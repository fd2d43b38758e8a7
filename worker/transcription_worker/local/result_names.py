"""What the results of several files are called, so that none takes another's place."""

import dataclasses
import unicodedata
from collections.abc import Iterable, Sequence

from transcription_api.choices import Naming
from transcription_api.layout import result_name

from transcription_worker.pipeline.local_source import LocalFile


def name_apart(files: Sequence[LocalFile]) -> list[LocalFile]:
    """Give files whose results would have the same names the full names of their files: a.mp3.txt beside a.wav.txt.

    The names depend on nothing but the files, so that another run over the same files finds its results. Files of one
    name from several folders cannot be told apart: of those the first has results.
    """
    named = list(files)
    while True:
        full = {file.path for group in _same_results(named) if len(group) > 1 for file in group}
        renamed = [_with_full_name(file) if file.path in full else file for file in named]
        if renamed == named:
            break
        named = renamed
    firsts = {file.path: group[0].path for group in _same_results(named) for file in group[1:]}
    return [dataclasses.replace(file, taken_by=firsts.get(file.path)) for file in named]


def _with_full_name(file: LocalFile) -> LocalFile:
    return dataclasses.replace(file, stem=result_name(file.path.name, Naming.FULL))


def _same_results(files: Iterable[LocalFile]) -> list[list[LocalFile]]:
    """Group the files by the names of their results.

    Names that differ in case alone, or in the form of Unicode alone, are the same on some file systems.
    """
    groups: dict[str, list[LocalFile]] = {}
    for file in files:
        name = unicodedata.normalize("NFC", str(file.folder / file.stem))
        groups.setdefault(unicodedata.normalize("NFC", name.casefold()), []).append(file)
    return list(groups.values())


def renaming_notice(files: Iterable[LocalFile]) -> str | None:
    """Return a line that names the files whose results keep the extension of the file; None if there are none."""
    full = [str(file.path) for file in files if file.stem != result_name(file.path.name, Naming.STEM)]
    if not full:
        return None
    return f"results named with their extension, since several files have one name: {', '.join(full)}"
