"""Detect files that end before the audio that their header announces.

A file counts as truncated if fewer samples than announced were decoded, and if it also shows that its end is missing or
its header counts single samples. A duration alone proves nothing: that of an mp3 may be wrong, a video's audio may end
before its pictures, and a phone's recording has gaps. Formats that announce no duration (ogg, aac, mpegts, fragmented
mp4) are transcribed as far as they go.
"""

import struct
from pathlib import Path

from transcription_worker.media import streams, wav
from transcription_worker.media.ffmpeg import ProcessResult

NOTICEABLE_SECONDS = 0.5  # more than the padding that encoders add at either end, and more than one lost packet

# First bytes of formats whose header counts the samples: FLAC, AIFF, AU, WavPack, True Audio, Monkey's Audio.
_COUNTED = (b"fLaC", b"FORM", b".snd", b"wvpk", b"TTA1", b"MAC ")
# ffmpeg's messages about an mp3 whose Xing header counts more bytes than there are, and about a cut Matroska file.
_SIGNS = (b"filesize and duration do not match", b"File ended prematurely")
_NO_INDEX = b"moov atom not found"  # ffmpeg's message about an mp4 that ends before its index
_BOXES = (b"ftyp", b"moov", b"mdat", b"wide", b"free", b"skip")  # the types of box with which an mp4 or mov file begins
_MOST_BOXES = 10_000


def lacks_index(path: Path, result: ProcessResult) -> bool:
    """Return whether the file is an mp4 or mov that lacks its index (moov box), so that nothing of it can be decoded."""
    return _NO_INDEX in result.stderr and _head(path)[4:] in _BOXES


def missing_seconds(path: Path, decoded_seconds: float, result: ProcessResult) -> float:
    """Return the seconds of audio that the header announces but the file certainly lacks.

    The value is 0.0 for a file that is complete or announces nothing.
    """
    missing = (
        _missing_from_wav(header) if (header := wav.read_header(path)) else _missing(path, decoded_seconds, result)
    )
    return missing if missing > NOTICEABLE_SECONDS else 0.0


def _missing_from_wav(header: wav.Wav) -> float:
    return 0.0 if header.announced is None else (header.announced - header.there) / max(header.byte_rate, 1)


def _missing(path: Path, decoded_seconds: float, result: ProcessResult) -> float:
    if not _is_doubtful(path, result):
        return 0.0
    announced = streams.find_audio_stream(path).seconds
    return 0.0 if announced is None else announced - decoded_seconds


def _is_doubtful(path: Path, result: ProcessResult) -> bool:
    head = _head(path)
    if head[4:] in _BOXES:
        return _ends_inside_a_box(path)
    return head[:4] in _COUNTED or any(sign in result.stderr for sign in _SIGNS)


def _head(path: Path) -> bytes:
    with path.open("rb") as file:
        return file.read(8)


def _ends_inside_a_box(path: Path) -> bool:
    """Return whether the file ends before its last box does.

    A box (ISO/IEC 14496-12, section 4.2) begins with a size of 32 bits and a type; a size of 1 is followed by one of 64.
    """
    size, at = path.stat().st_size, 0
    with path.open("rb") as file:
        for _ in range(_MOST_BOXES):
            file.seek(at)
            head = file.read(16)
            if len(head) < 8:
                break
            length = int(struct.unpack(">I", head[:4])[0])
            if length == 1 and len(head) == 16:
                length = int(struct.unpack(">Q", head[8:])[0])
            if length < 8:  # a size of 0 means that the box extends to the end of the file
                return False
            at += length
    return at > size
