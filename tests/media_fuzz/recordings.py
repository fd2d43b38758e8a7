"""One short recording of each container and codec that ffmpeg can write here, or that is made by hand."""

import functools
import subprocess
import tempfile
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from tests.media_fuzz import handmade, handmade_packets

SECONDS = 1.5
PICTURE = ("-f", "lavfi", "-i", f"testsrc=size=64x64:rate=5:duration={SECONDS}")
SOUND = ("-f", "lavfi", "-i", f"sine=frequency=440:sample_rate=16000:duration={SECONDS}")


@dataclass(frozen=True)
class Kind:
    """A container and its codec. `options` are ffmpeg's for the output; `picture` adds a test picture.

    `made` makes the file instead of ffmpeg, and `packed` makes it of ffmpeg's output.
    """

    extension: str
    options: tuple[str, ...] = ()
    picture: bool = False
    made: Callable[[], bytes] | None = None
    packed: Callable[[bytes], bytes] | None = None

    def __str__(self) -> str:
        maker = self.made or self.packed
        by = ["by hand" if maker.__name__ == self.extension else f"by {maker.__name__}"] if maker else []
        return " ".join([self.extension, *self.options, *(["with a picture"] if self.picture else []), *by])


def _kinds(extension: str, *options: str, picture: bool = False) -> list[Kind]:
    """Return a kind for each of the options, which are split at blanks; none of them leaves the codec to ffmpeg."""
    return [Kind(extension, tuple(one.split()), picture) for one in options or ("",)]


KINDS: tuple[Kind, ...] = (
    *_kinds("wav", "", "-ar 16000 -ac 1", "-c:a pcm_f32le -ac 2", "-c:a pcm_u8", "-c:a adpcm_ms", "-c:a pcm_mulaw"),
    *_kinds(
        "wav", "-rf64 always", "-c:a adpcm_ima_wav", "-c:a libgsm_ms -ar 8000", "-c:a pcm_s24le", "-c:a libmp3lame"
    ),
    *_kinds("mp3", "", "-ac 2 -b:a 320k", "-write_xing 0", "-id3v2_version 3 -metadata title=x"),
    *_kinds("m4a", "", "-c:a alac", "-movflags +faststart", "-movflags +frag_keyframe+empty_moov"),
    *_kinds("mp4", "-c:v mpeg4", "-c:v mpeg4 -movflags +faststart", picture=True),
    *_kinds("mov", "-c:v mpeg4", "-c:v mpeg4 -c:a pcm_s16le", picture=True),
    *_kinds("webm", "-c:v libvpx", "-c:v libvpx -c:a libvorbis", picture=True),
    *_kinds("webm", "-c:a libopus"),
    *_kinds("mkv", "-c:v mpeg4 -c:a flac", "-c:v mpeg4 -c:a ac3", "-c:v mpeg4 -c:a aac", picture=True),
    *_kinds("mka", "-c:a pcm_s16le", "-c:a libmp3lame", "-c:a truehd -strict -2 -ar 48000"),
    *_kinds("ogg", "-c:a libvorbis", "-c:a libopus", "-c:a flac", "-c:a libspeex"),
    *_kinds("opus", "-c:a libopus", "-c:a libopus -b:a 6k"),
    *_kinds("flac", "", "-ac 2"),
    *_kinds("aac"),
    *_kinds("aiff", "", "-c:a pcm_s24be", "-c:a pcm_mulaw"),
    *_kinds("3gp", "-c:v mpeg4 -c:a aac", picture=True),
    *_kinds("wma", "", "-c:a wmav1"),
    *_kinds("wmv", "-c:a wmav2", picture=True),
    *_kinds("avi", "-c:a libmp3lame", "-c:a pcm_s16le", picture=True),
    *_kinds("ts", "-c:a aac", "-c:a mp2", "-c:a ac3", picture=True),
    *_kinds("m2ts", "-c:a ac3", picture=True),
    *_kinds("vob", "-c:a ac3 -ar 48000", "-c:a mp2", picture=True),
    *_kinds("mpg", "-c:v mpeg2video -r 25", picture=True),
    *_kinds("mxf", "-c:v mpeg2video -r 25 -ar 48000", picture=True),
    *_kinds("flv", "-ar 22050", "-c:a aac", picture=True),
    *_kinds("caf", "", "-c:a alac", "-c:a pcm_mulaw"),
    *_kinds("au", "", "-c:a pcm_mulaw"),
    *_kinds("w64"),
    *_kinds("ac3"),
    *_kinds("eac3"),
    *_kinds("dts", "-c:a dca -strict -2 -ar 48000"),
    *_kinds("tta"),
    *_kinds("wv"),
    *_kinds("voc"),
    *_kinds("gsm", "-c:a libgsm -ar 8000"),
    *_kinds("mp2"),
    *_kinds("spdif", "-c:a ac3 -f spdif -ar 48000"),
    *_kinds("ra", "-c:a real_144 -ar 8000 -f rm"),
    *_kinds("sox"),
    *_kinds("thd", "-c:a truehd -strict -2 -ar 48000"),
    *_kinds("nut"),
    *_kinds("wtv", "-c:v mpeg2video -c:a mp2 -r 25", picture=True),
    *_kinds("dv", "-target pal-dv", picture=True),
    *_kinds("adx"),
    *_kinds("ast", "-c:a pcm_s16be_planar"),
    *_kinds("c2", "-c:a libcodec2 -ar 8000 -mode 3200", "-c:a libcodec2 -ar 8000 -mode 700C"),
    *_kinds("sf", "", "-c:a pcm_mulaw"),
    *_kinds("mlp", "-strict -2 -ar 48000"),
    *_kinds("mmf", "-ar 8000"),
    *_kinds("swf", "-ar 22050"),
    *_kinds("swf", "-ar 22050", picture=True),
    *_kinds("loas", "-c:a aac -f latm"),
    *_kinds("gxf", "-s 720x480 -r 29.97 -ar 48000", picture=True),
    *_kinds("mjpg", "-f smjpeg", picture=True),
    *_kinds("3g2", "-c:a aac"),
    *_kinds("rm", "-c:v rv10 -c:a ac3", picture=True),
    *(Kind(made.__name__, made=made) for made in handmade.WITH_SAMPLES),
    *(Kind(made.__name__, made=made) for made in handmade.WITH_FRAMES),
    *(Kind(made.__name__, made=made) for made in handmade_packets.WITH_SAMPLES),
    Kind("dtshd", tuple("-c:a dca -strict -2 -ar 48000 -f dts".split()), packed=handmade_packets.dtshd),
    Kind("kux", tuple("-ar 22050 -f flv".split()), packed=handmade_packets.kux),
    Kind("nsv", tuple("-ar 48000 -b:a 96k -write_xing 0 -id3v2_version 0 -f mp3".split()), packed=handmade_packets.nsv),
    Kind("pva", tuple("-f mp2".split()), packed=handmade_packets.pva),
    Kind("xwma", tuple("-c:a wmav2 -f wav".split()), packed=handmade_packets.xwma),
)

# Formats that the worker accepts and no file here is of, as neither ffmpeg nor a few lines can write one.
NOTHING_WRITES = {
    "ivr": "a RealMedia file inside tables of its own",
    "paf": "its sound is packed in blocks that are shared with the picture",
    "tak": "its frames are told by checksums of a codec that only its author's program writes",
    "ty": "a TiVo's chunks of 128 KiB, which mix the records of sound and picture",
}


@functools.cache
def recording(kind: Kind) -> bytes | None:
    """Return the file's bytes; None if ffmpeg here has no encoder or no muxer for it."""
    if kind.made:
        return kind.made()
    written = _written(kind)
    return kind.packed(written) if written and kind.packed else written


def _written(kind: Kind) -> bytes | None:
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / f"made.{kind.extension}"
        command = ["ffmpeg", "-v", "error", "-y", *(PICTURE if kind.picture else ()), *SOUND, *kind.options, path]
        made = subprocess.run(command, check=False, capture_output=True)
        return path.read_bytes() if made.returncode == 0 else None
