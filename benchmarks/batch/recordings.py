"""Recordings for the benchmark: pieces of synthetic speech in the formats that people have."""

import random
import subprocess
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

from tests.support.speech import speak, write_wav

# What ffmpeg is told for each extension, and how many of the files have it: phones and recorders write wav and m4a, archives
# mp3, messengers opus.
FORMATS = {
    "wav": ["-c:a", "pcm_s16le"],
    "mp3": ["-c:a", "libmp3lame", "-b:a", "64k"],
    "m4a": ["-c:a", "aac", "-b:a", "64k"],
    "opus": ["-c:a", "libopus", "-b:a", "24k"],
}
SPOKEN_SECONDS = 600.0
CUT_TOGETHER = 20


@dataclass(frozen=True)
class Recording:
    """One file, and how much of it is audio in seconds."""

    path: Path
    seconds: float


def make_recordings(folder: Path, count: int, shortest: float, longest: float, cores: int) -> list[Recording]:
    """Write so many files of lengths between the two, the formats in turn, each a piece of the same speech."""
    spoken = folder / "spoken.wav"
    samples, _ = speak("en", 77, SPOKEN_SECONDS)
    write_wav(spoken, samples)
    pieces = list(_pieces(folder, count, shortest, longest))
    parts = [pieces[first : first + CUT_TOGETHER] for first in range(0, count, CUT_TOGETHER)]
    with ThreadPoolExecutor(cores) as threads:
        list(threads.map(lambda part: _cut(spoken, part), parts))
    spoken.unlink()
    return [recording for recording, _ in pieces]


def _pieces(folder: Path, count: int, shortest: float, longest: float) -> Iterator[tuple[Recording, float]]:
    draw, names = random.Random(f"{count}/{shortest}/{longest}"), list(FORMATS)
    for number in range(count):
        seconds = round(draw.uniform(shortest, longest), 2)
        path = folder / f"{number // 500:02}" / f"{number:05}.{names[number % len(names)]}"
        path.parent.mkdir(exist_ok=True)
        yield Recording(path, seconds), round(draw.uniform(0.0, SPOKEN_SECONDS - seconds), 2)


def _cut(spoken: Path, pieces: Sequence[tuple[Recording, float]]) -> None:
    """Write some of the files with one ffmpeg, whose start takes longer than the encoding of a short one."""
    inputs, outputs = [], []
    for number, (recording, start) in enumerate(pieces):
        inputs += ["-ss", str(start), "-t", str(recording.seconds), "-i", str(spoken)]
        outputs += ["-map", f"{number}:a", *FORMATS[recording.path.suffix[1:]], str(recording.path)]
    subprocess.run(["ffmpeg", "-v", "error", "-y", *inputs, *outputs], check=True)


def decode_alone(recordings: list[Recording], cores: int) -> None:
    """Decode every file to the samples that Whisper takes, with nothing but ffmpeg, one process a core."""

    def decode(recording: Recording) -> None:
        command = ["ffmpeg", "-v", "error", "-i", str(recording.path), "-f", "s16le", "-ac", "1", "-ar", "16000", "-"]
        subprocess.run(command, check=True, stdout=subprocess.DEVNULL)

    with ThreadPoolExecutor(cores) as threads:
        list(threads.map(decode, recordings))
