"""Result files, by openai-whisper's own writers, of text that cannot break them."""

import dataclasses
import io
import json
import math
from collections.abc import Callable, Iterator
from typing import Any

import whisper.utils
from transcription_api.spec import Format, Subtitles

from transcription_worker.engines.formats import cue_text
from transcription_worker.engines.protocol import Transcript

Result = dict[str, Any]
Cue = tuple[str, str, str]  # start, end, text

AS_SPOKEN = Subtitles()  # a cue for each segment


def render_format(transcript: Transcript, fmt: Format, subtitles: Subtitles = AS_SPOKEN) -> bytes:
    """The bytes that the whisper command writes for the same result and options, in UTF-8.

    They differ where the text would break the file: see docs/adr/0031. `subtitles` is of srt and vtt alone.
    """
    result = {"text": transcript.text, "segments": transcript.segments, "language": transcript.language}
    if fmt is Format.JSON:
        return _json(result).encode()
    if fmt is Format.VTT:
        return _cues(fmt, cue_text.hold_markup(result), subtitles, cue_text.render_vtt_text)
    if fmt is Format.SRT:
        return _cues(fmt, cue_text.clean(result), subtitles, cue_text.render_srt_text)
    return _written(_writer(fmt), cue_text.flatten(result), {})


def _cues(fmt: Format, result: Result, subtitles: Subtitles, render_text: Callable[[str], str]) -> bytes:
    writer = _writer(fmt)
    layout = writer.iterate_result

    def safe_cues(*args: Any, **options: Any) -> Iterator[Cue]:
        for start, end, text in layout(*args, **options):
            yield start, end, render_text(text)

    writer.iterate_result = safe_cues
    return _written(writer, _with_words_in_all(result), dataclasses.asdict(subtitles))


def _with_words_in_all(result: Result) -> Result:
    """transcribe gives a segment that it empties a list of words, asked for or not; the writers then miss the others'."""
    segments = result["segments"]
    if all("words" in segment for segment in segments):
        return result
    return result | {"segments": [{k: v for k, v in segment.items() if k != "words"} for segment in segments]}


def _writer(fmt: Format) -> Any:
    return whisper.utils.get_writer(fmt.value, "")


def _written(writer: Any, result: Result, options: dict[str, Any]) -> bytes:
    out = io.StringIO()
    writer.write_result(result, out, options)
    return out.getvalue().encode()


def _json(result: Result) -> str:
    """Numbers that JSON has no word for are null."""
    try:
        return json.dumps(result, allow_nan=False)
    except ValueError:
        return json.dumps(_finite(result))


def _finite(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: _finite(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [_finite(item) for item in value]
    return None if isinstance(value, float) and not math.isfinite(value) else value
