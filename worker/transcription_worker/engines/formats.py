"""Result files, by openai-whisper's own writers."""

import io

import whisper.utils
from transcription_api.spec import Format

from transcription_worker.engines.protocol import Transcript


def render_format(transcript: Transcript, fmt: Format) -> bytes:
    """The bytes that the whisper command writes for the same result, with its default options."""
    result = {"text": transcript.text, "segments": transcript.segments, "language": transcript.language}
    out = io.StringIO()
    whisper.utils.get_writer(fmt.value, "").write_result(result, out)
    return out.getvalue().encode()
