"""Files of real transcripts equal openai-whisper's byte for byte, and ffmpeg reads files with hostile text."""

import dataclasses
import re
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
import whisper
import whisper.utils
from transcription_api.spec import Decoding, Format, Subtitles, TaskKind
from transcription_worker.engines.checkpoints import weights
from transcription_worker.engines.formats.writers import render_format
from transcription_worker.engines.openai_whisper.engine import OpenAIWhisper
from transcription_worker.engines.protocol import InMemory, Input, Options, Transcript

from tests.support.speech import speak
from tests.support.testmodel import model_path

# whisper passes a torch tensor to numpy.argsort.
pytestmark = pytest.mark.filterwarnings("ignore:__array_wrap__ must accept:DeprecationWarning")

OPTIONS = (
    Subtitles(),
    Subtitles(max_line_width=20, max_line_count=2),
    Subtitles(max_line_width=30),
    Subtitles(max_words_per_line=3, highlight_words=True),
)
# The text is spoken as six segments; unit tests show what each would do to a file.
HOSTILE = ("<i>a", "b\n\n2\n00:00:09,000 --> 00:00:10,000\nc", "--->", "NOTE\r\rd", "e &lt; f\x00", "<v Bob>g</v>")


@pytest.fixture(scope="module")
def transcribed() -> Callable[[str, bool], Transcript]:
    torch.set_num_threads(1)
    engine = OpenAIWhisper(weights.load(model_path(), "0" * 64, "cpu", "model.pt"))

    def of(language: str, timed: bool) -> Transcript:
        decoding = Decoding(temperatures=(0.0,), beam_size=1, word_timestamps=timed)
        samples = speak(language, 801, 35)[0]
        item = Input("a", lambda: InMemory(samples), Options(TaskKind.TRANSCRIBE, language, decoding))
        return next(iter(engine.transcribe([item]))).value()

    return of


@pytest.mark.parametrize("timed", [False, True], ids=["segments", "words"])
@pytest.mark.parametrize("language", ["en", "pt"])
def test_files_of_a_real_transcript_are_the_whisper_commands(
    transcribed: Callable[[str, bool], Transcript], language: str, timed: bool, tmp_path: Path
) -> None:
    transcript = transcribed(language, timed)
    assert len(transcript.segments) > 2
    assert all(("words" in segment) is timed for segment in transcript.segments)
    for options in OPTIONS:
        result = {"text": transcript.text, "segments": transcript.segments, "language": transcript.language}
        write: Any = whisper.utils.get_writer("all", str(tmp_path))
        write(result, "talk.wav", dataclasses.asdict(options))
        for fmt in Format:
            written = with_lengths((tmp_path / f"talk.{fmt.value}").read_bytes())
            assert render_format(transcript, fmt, options) == written, options


def with_lengths(body: bytes) -> bytes:
    """Return a file of the command's in which each cue of no length begins 20 ms before its end, as docs/media.md says."""
    return re.sub(rb"^([\d:]+[.,]\d{3}) --> \1$", _earlier, body, flags=re.MULTILINE)


def _earlier(cue: "re.Match[bytes]") -> bytes:
    *larger, seconds = cue[1].decode().replace(",", ".").split(":")
    separator = "," if b"," in cue[1] else "."
    start = f"{':'.join(larger)}:{float(seconds) - 0.02:06.3f}".replace(".", separator)
    return start.encode() + b" --> " + cue[1]


@pytest.mark.parametrize("fmt", [Format.SRT, Format.VTT])
def test_ffmpeg_reads_a_cue_for_each_hostile_segment(fmt: Format, tmp_path: Path) -> None:
    segments = [{"start": 2.0 * at, "end": 2.0 * at + 1.5, "text": text} for at, text in enumerate(HOSTILE)]
    path = tmp_path / f"hostile.{fmt.value}"
    path.write_bytes(render_format(Transcript("", segments, "en", None, 12.0), fmt))
    read = subprocess.run(
        ["ffmpeg", "-v", "error", "-i", path, "-f", "srt", "-"], capture_output=True, check=True
    ).stdout
    starts = re.findall(r"^00:00:(\d\d),000 --> 00:00:\d\d,500$", read.decode(), re.MULTILINE)
    assert starts == ["00", "02", "04", "06", "08", "10"]
    for said in ("a", "b", "c", "d", "e &lt; f", "g"):
        assert said in read.decode()
