"""Whether a file ends before the audio that its header announces.

Two things must come together: a sign in the file that its end is missing (or a header that counts the very samples), and
fewer samples than announced. A duration alone proves nothing: that of an mp3 may be a lie, a video's audio may end before
its pictures, and a phone's recording has gaps. Formats that announce nothing (ogg, aac, mpegts, fragmented mp4) are
transcribed as far as they go.
"""

import struct
from pathlib import Path

from transcription_worker.media import streams, wav
from transcription_worker.media.ffmpeg import ProcessResult

NOTICEABLE_SECONDS = 0.5  # more than encoders add at either end, or one lost packet

# First bytes of formats whose header counts the samples: FLAC, AIFF, AU, WavPack, True Audio, Monkey's Audio.
_COUNTED = (b"fLaC", b"FORM", b".snd", b"wvpk", b"TTA1", b"MAC ")
# ffmpeg's own words: of an mp3 whose Xing header tells of more bytes than there are, and of a Matroska file.
_SIGNS = (b"filesize and duration do not match", b"File ended prematurely")
_NO_INDEX = b"moov atom not found"  # of an mp4 that was to be written after the audio
_BOXES = (b"ftyp", b"moov", b"mdat", b"wide", b"free", b"skip")  # that an mp4 or mov file begins with
_MOST_BOXES = 10_000


def lacks_index(path: Path, result: ProcessResult) -> bool:
    """An mp4 or mov without what tells where its samples are: nothing of it can be decoded."""
    return _NO_INDEX in result.stderr and _head(path)[4:] in _BOXES


def missing_seconds(path: Path, decoded_seconds: float, result: ProcessResult) -> float:
    """Audio that the header announces and that is certainly not there; 0.0 for a file that is whole or says nothing."""
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
    """Boxes of ISO/IEC 14496-12, section 4.2: a size of 32 bits, a type, and where the size is 1 one of 64 bits."""
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
            if length < 8:  # 0: to the end of the file
                return False
            at += length
    return at > size
