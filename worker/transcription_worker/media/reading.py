"""How ffmpeg and ffprobe open a file: which formats they may read, and how far they look for streams.

They get an open file and no name, so that the same bytes are read in the same way whatever the file is called: with a name,
ffmpeg would guess some formats by the extension.
"""

from dataclasses import dataclass
from pathlib import Path

# Demuxers by the names of `ffmpeg -demuxers`, which docs/media.md lists for users. Those that open other files (hls, dash,
# concat, sdp, image2) are left out, and those that ffmpeg tells by a name or an option alone (sbc, mpegtsraw).
FORMATS = (
    "aac ac3 adx aiff amr amrnb amrwb ape asf ast au avi avr caf codec2 dhav dsf dss dts dtshd dv eac3 flac flv gsm gxf "
    "hcom iff ilbc ircam ivr kux loas lxf matroska webm mlp mmf mov mp4 m4a 3gp 3g2 mj2 mp3 mpc mpc8 mpeg mpegts mxf "
    "nistsphere nsp nsv nut nuv ogg oma paf pva pvf qcp rm shn smjpeg sox spdif swf tak truehd tta ty voc w64 wav wtv wv "
    "xwma"
).split()

# Where the first look finds no sound, streams are looked for so far into the file: in MPEG program streams and the like each
# announces itself by its first packet alone. ffmpeg holds these bytes in memory meanwhile. The default is 5 MB or 5 s.
DEEP_PROBE_BYTES = 512 << 20
DEEP_PROBE_MICROSECONDS = 2_000_000_000
# So many zeros at a file's start belong to no format: a recorder reserved room and never wrote its header there.
_LEAST_ZEROS = 4096
_MOST_ZEROS = 64 << 20
_BLOCK = 1 << 20


@dataclass(frozen=True)
class Reading:
    """How one file is read.

    `start` is the byte that it is read from. `deep` looks far into it for streams; `to_the_end` reads a WAVE file past the
    size that its header announces.
    """

    start: int = 0
    deep: bool = False
    to_the_end: bool = False

    def arguments(self, fd: int) -> list[str]:
        """Return the options that end with -i and the address of an open file descriptor."""
        protocols = "file,pipe" + (",subfile" if self.start else "")
        arguments = ["-v", "level+warning", "-protocol_whitelist", protocols, "-format_whitelist", ",".join(FORMATS)]
        if self.deep:
            arguments += ["-probesize", str(DEEP_PROBE_BYTES), "-analyzeduration", str(DEEP_PROBE_MICROSECONDS)]
        if self.to_the_end:
            arguments += ["-ignore_length", "1"]
        return [*arguments, "-i", self.url(fd)]

    def url(self, fd: int) -> str:
        """Return ffmpeg's address of an open file descriptor, from `start` on."""
        address = f"file:/proc/self/fd/{fd}"
        return f"subfile,,start,{self.start},end,0,,:{address}" if self.start else address


AS_USUAL = Reading()


def leading_zeros(path: Path) -> int:
    """Return how many zeros stand before a file's content; 0 for a few, which may be the content's own."""
    with path.open("rb") as file:
        for at in range(0, _MOST_ZEROS, _BLOCK):
            block = file.read(_BLOCK)
            if content := block.lstrip(b"\0"):
                found = at + len(block) - len(content)
                return found if found >= _LEAST_ZEROS else 0
    return 0
