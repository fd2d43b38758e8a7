"""Detect files that hold less audio than their header announces.

A file counts as short if fewer samples than announced were decoded, and if it also shows that its end is missing or its
header counts single samples. A duration alone proves nothing: that of an mp3 may be wrong, a video's audio may end before
its pictures, and a phone's recording has gaps. Formats that announce no duration (ogg, aac, mpegts, fragmented mp4) are
transcribed as far as they go.
"""

from dataclasses import dataclass
from pathlib import Path

from transcription_worker.media import boxes, wav
from transcription_worker.media.ffmpeg import ProcessResult
from transcription_worker.media.reading import AS_USUAL
from transcription_worker.media.streams import Streams, find_streams

NOTICEABLE_SECONDS = 0.5  # more than the padding that encoders add at either end, and more than one lost packet

# First bytes of formats whose header counts the samples: FLAC, AIFF, AU, WavPack, True Audio, Monkey's Audio.
_COUNTED = (b"fLaC", b"FORM", b".snd", b"wvpk", b"TTA1", b"MAC ")
# ffmpeg's messages about an mp3 whose Xing header counts more bytes than there are, and about a cut Matroska file.
_FEWER_BYTES, _CUT_OFF = b"filesize and duration do not match", b"File ended prematurely"


@dataclass(frozen=True)
class Shortfall:
    """The audio that a header announces and the file lacks.

    `certain` is True where the file itself breaks off, in the middle of an mp4's box or a Matroska element, or holds hardly
    a sample. Otherwise the header alone says that there was more, and headers of whole files say so too.
    """

    seconds: float
    certain: bool


def find_shortfall(
    path: Path, decoded: float, result: ProcessResult, track: int, streams: Streams | None
) -> Shortfall | None:
    """Return what a file lacks of which `decoded` seconds were decoded; None if it is complete or announces nothing.

    `streams` are asked for if they are None and needed.
    """
    seconds, certain = 0.0, False
    if header := wav.read_header(path):
        seconds = header.missing_seconds
    elif (cut := _is_cut_off(path, result)) or _counts_more(path, result):
        announced = (streams or find_streams(path, AS_USUAL)).tracks[track].seconds
        seconds, certain = (announced or 0.0) - decoded, cut
    if seconds <= NOTICEABLE_SECONDS:
        return None
    return Shortfall(seconds, certain or decoded < NOTICEABLE_SECONDS)


def _is_cut_off(path: Path, result: ProcessResult) -> bool:
    if boxes.begins_with_box(path):
        return boxes.ends_inside_a_box(path)
    return _CUT_OFF in result.stderr


def _counts_more(path: Path, result: ProcessResult) -> bool:
    with path.open("rb") as file:
        counted = file.read(4) in _COUNTED
    return (counted or _FEWER_BYTES in result.stderr) and not boxes.begins_with_box(path)
