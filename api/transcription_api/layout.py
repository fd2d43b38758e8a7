"""Where results lie in the destination, and what makes two tasks the same one."""

import hashlib
import json
from pathlib import PurePosixPath

from transcription_api.codec import to_json
from transcription_api.spec import Format, Spec

# Beside the transcripts and written last: its presence means that the result is whole.
REPORT_SUFFIX = ".report.json"


def stem(spec: Spec) -> str:
    """Name of the results: the source's file name without its last extension, as the whisper command does."""
    return PurePosixPath(spec.source.s3.key).stem


def result_key(spec: Spec, fmt: Format, channel: int | None = None) -> str:
    """Key of one transcript: interviews/01.wav with prefix out/ gives out/01.srt, and out/01.ch0.srt for channel 0 of a split."""
    return f"{spec.destination.s3.prefix}{file_name(stem(spec), fmt, channel)}"


def file_name(stem: str, fmt: Format, channel: int | None = None) -> str:
    """Name of one transcript, in a bucket or a folder."""
    apart = "" if channel is None else f".ch{channel}"
    return f"{stem}{apart}.{fmt.value}"


def report_key(spec: Spec) -> str:
    """Key of the report, the commit marker."""
    return f"{spec.destination.s3.prefix}{stem(spec)}{REPORT_SUFFIX}"


def fingerprint(spec: Spec) -> str:
    """SHA-256 over what decides the result: with the source's ETag it says whether a result found is the one asked for.

    The device is left out: half precision may change a word, but never makes another task of it.
    """
    parts = {
        "source": [spec.source.s3.endpoint_url, spec.source.s3.bucket, spec.source.s3.key],
        "model": to_json(spec.model) | {"cache": None},
        "task": spec.task.value,
        "language": spec.language,
        "languageDetection": to_json(spec.language_detection),
        "audio": to_json(spec.audio),
        "engine": spec.engine.value,
        "decoding": to_json(spec.decoding),
        "quality": to_json(spec.quality),
        "subtitles": to_json(spec.subtitles),
        "formats": sorted(fmt.value for fmt in spec.formats),
    }
    return hashlib.sha256(json.dumps(parts, sort_keys=True).encode()).hexdigest()
