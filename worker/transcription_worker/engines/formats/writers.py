"""Renders transcripts as result files with openai-whisper's own writers, safe from text that would break a file."""

import dataclasses
import io
import json
import math
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import whisper.utils
from transcription_api.spec import Format, Subtitles

from transcription_worker.engines.formats import cue_text, cue_times
from transcription_worker.engines.protocol import Transcript

Result = dict[str, Any]
Cue = tuple[str, str, str]  # start, end, text
Render = Callable[[Result, Subtitles], bytes]

AS_SPOKEN = Subtitles()  # a cue for each segment


@dataclass(frozen=True)
class FormatWriter:
    """How one format is written. Its extension is the value of its Format, which the operator knows too."""

    content_type: str
    render: Render


def render_format(transcript: Transcript, fmt: Format, subtitles: Subtitles = AS_SPOKEN) -> bytes:
    """Return the bytes that the whisper command writes for the same result and options, in UTF-8.

    They differ where the text or a cue of no length would break the file: see docs/adr/0031. `subtitles` applies to srt
    and vtt alone.
    """
    result = {"text": transcript.text, "segments": transcript.segments, "language": transcript.language}
    return FORMATS[fmt].render(result, subtitles)


def _render_json(result: Result, _: Subtitles) -> bytes:
    """Return JSON in which infinity and NaN, which JSON does not have, are null."""
    try:
        return json.dumps(result, allow_nan=False).encode()
    except ValueError:
        return json.dumps(_finite(result), allow_nan=False).encode()


def _render_txt(result: Result, _: Subtitles) -> bytes:
    return _written(_writer("txt"), cue_text.flatten(result), {})


def _render_tsv(result: Result, _: Subtitles) -> bytes:
    return _written(_writer("tsv"), cue_times.with_lengths(cue_times.leave_out_empty(cue_text.flatten(result))), {})


def _render_srt(result: Result, subtitles: Subtitles) -> bytes:
    return _cues(_writer("srt"), cue_text.clean(result), subtitles, cue_text.render_srt_text)


def _render_vtt(result: Result, subtitles: Subtitles) -> bytes:
    return _cues(_writer("vtt"), cue_text.hold_markup(result), subtitles, cue_text.render_vtt_text)


FORMATS = {
    Format.JSON: FormatWriter("application/json", _render_json),
    Format.TXT: FormatWriter("text/plain; charset=utf-8", _render_txt),
    Format.SRT: FormatWriter("application/x-subrip; charset=utf-8", _render_srt),
    Format.VTT: FormatWriter("text/vtt; charset=utf-8", _render_vtt),
    Format.TSV: FormatWriter("text/tab-separated-values; charset=utf-8", _render_tsv),
}


def _cues(writer: Any, result: Result, subtitles: Subtitles, render_text: Callable[[str], str]) -> bytes:
    layout = writer.iterate_result

    def safe_cues(*args: Any, **options: Any) -> Iterator[Cue]:
        for start, end, text in layout(*args, **options):
            yield *_with_length(writer, start, end), render_text(text)

    writer.iterate_result = safe_cues
    return _written(writer, _with_words_in_all(cue_times.leave_out_empty(result)), dataclasses.asdict(subtitles))


def _with_length(writer: Any, start: str, end: str) -> tuple[str, str]:
    """Return the times of a cue as the writer formats them: as they are, unless the cue has no length."""
    given = cue_times.milliseconds(start), cue_times.milliseconds(end)
    lengthened = cue_times.lengthen(*given)
    if lengthened == given:
        return start, end
    return writer.format_timestamp(lengthened[0] / 1000), writer.format_timestamp(lengthened[1] / 1000)


def _with_words_in_all(result: Result) -> Result:
    """Return the result without lists of words unless all segments have one.

    whisper.transcribe gives a segment whose text it empties a list of words, whether words were asked for or not. The
    writers then expect words in the other segments too.
    """
    segments = result["segments"]
    if all("words" in segment for segment in segments):
        return result
    return result | {"segments": [{k: v for k, v in segment.items() if k != "words"} for segment in segments]}


def _writer(name: str) -> Any:
    """Return openai-whisper's own writer of a format."""
    return whisper.utils.get_writer(name, "")


def _written(writer: Any, result: Result, options: dict[str, Any]) -> bytes:
    out = io.StringIO()
    writer.write_result(result, out, options)
    return out.getvalue().encode()


def _finite(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: _finite(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [_finite(item) for item in value]
    return None if isinstance(value, float) and not math.isfinite(value) else value
