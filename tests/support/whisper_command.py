"""Run openai-whisper's own command with the test model."""

import json
import os
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path

from transcription_api.spec import Format, Subtitles
from transcription_worker.engines.formats.writers import render_format
from transcription_worker.engines.protocol import Transcript
from transcription_worker.pipeline.times import end_within

from tests.support.testmodel import model_path

NO_SUBTITLES = Subtitles()
THREADS = "1"  # of torch, on both sides of every comparison


def whisper_command(files: list[Path], out: Path, *options: str) -> dict[str, bytes]:
    """Run the command and return the files that it writes, by name."""
    program = str(Path(sys.executable).with_name("whisper"))
    fixed = ["--model", str(model_path()), "--device", "cpu", "--threads", THREADS, "--output_dir", str(out)]
    subprocess.run(
        [program, *map(str, files), *fixed, *options],
        check=True,
        env=os.environ | {"OMP_NUM_THREADS": THREADS},
        stdout=subprocess.DEVNULL,
    )
    return {path.name: path.read_bytes() for path in out.iterdir()}


def kept_within(
    written: dict[str, bytes], seconds: Mapping[str, float], subtitles: Subtitles = NO_SUBTITLES
) -> dict[str, bytes]:
    """Return the command's files with all times within the audio and a length for each cue, as docs/media.md says.

    `seconds` are those of the audio, by the name of its files. Files in which nothing of the sort is wrong stay as they are.
    """
    kept = dict(written)
    for stem, length in seconds.items():
        result = json.loads(written[f"{stem}.json"])
        given = Transcript(result["text"], result["segments"], result["language"], None, length)
        within = end_within(given, length)
        if within is not given or not _all_have_lengths(given):
            kept |= {f"{stem}.{fmt.value}": render_format(within, fmt, subtitles) for fmt in Format}
    return kept


def _all_have_lengths(transcript: Transcript) -> bool:
    timed = [part for segment in transcript.segments for part in (segment, *segment.get("words", ()))]
    return all(round(part["start"] * 1000) < round(part["end"] * 1000) for part in timed)
