"""Whether results of an earlier run are whole. A program that was killed, or a disk that was full, leaves others behind."""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from transcription_api.choices import Format

# Bytes of the start and the end of a result that are looked at, so that thousands of results are soon looked through.
EDGE_BYTES = 4096
# With which each format begins, as openai-whisper writes it. Text alone may begin with anything.
HEADS = {Format.JSON: b"{", Format.VTT: b"WEBVTT\n", Format.TSV: b"start\tend\ttext\n"}
TAILS = {Format.JSON: b"}"}
# What a result without any speech consists of, in the formats that say so.
SILENT_VTT = b"WEBVTT\n\n"


@dataclass(frozen=True)
class _Edges:
    """The first and the last bytes of a file, and its size in bytes."""

    head: bytes
    tail: bytes
    size: int


def are_whole(results: Mapping[Format, Path]) -> bool:
    """Return whether every result is there and has the beginning and the end that its format has.

    Text and subtitles without speech have no bytes. They count as whole where another format tells of the silence.
    """
    edges = {fmt: _read_edges(path) for fmt, path in results.items()}
    if not all(found is not None and (not found.size or _is_whole(fmt, found)) for fmt, found in edges.items()):
        return False
    there = {fmt: found for fmt, found in edges.items() if found is not None}
    empty = {fmt for fmt, found in there.items() if not found.size}
    return not empty or (empty <= {Format.TXT, Format.SRT} and any(_is_silent(fmt, one) for fmt, one in there.items()))


def _read_edges(path: Path) -> _Edges | None:
    """Return None for a file that is missing or cannot be read."""
    try:
        if not path.is_file():
            return None
        with path.open("rb") as file:
            head = file.read(EDGE_BYTES)
            size = file.seek(0, 2)
            file.seek(max(0, size - EDGE_BYTES))
            return _Edges(head, file.read(), size)
    except OSError:
        return None


def _is_whole(fmt: Format, found: _Edges) -> bool:
    """Whether the file begins and ends as its format does. After a power failure a file may consist of zeros."""
    ends = found.tail.endswith(TAILS.get(fmt, b"\n"))
    return found.head.startswith(HEADS.get(fmt, b"")) and ends and b"\0" not in found.head + found.tail


def _is_silent(fmt: Format, found: _Edges) -> bool:
    if fmt is Format.JSON and found.size <= EDGE_BYTES:
        try:
            return bool(json.loads(found.head).get("segments") == [])
        except ValueError:
            return False
    return found.head == {Format.VTT: SILENT_VTT, Format.TSV: HEADS[Format.TSV]}.get(fmt)
