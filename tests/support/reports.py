"""Give a report with nearly every field, as a worker writes it at its end."""

from transcription_api.report import DeviceUsed, ModelUsed, Report, WrittenObject
from transcription_api.spec import Format

WHOLE = Report(
    engine="openai-whisper",
    device=DeviceUsed("cuda", "NVIDIA H100 80GB HBM3", "580.65.06", "13.0", "2.15.0", "9.0"),
    model=ModelUsed("turbo", "sha256:" + "a" * 64),
    source_etag='"' + "e" * 40 + '"',
    language="pt",
    language_probability=0.987,
    audio_seconds=36000.0,
    wall_seconds=100.0,
    words=90000,
    segments=9000,
    objects=tuple(WrittenObject(fmt, 10**9, '"' + "f" * 40 + '"') for fmt in Format),
    preview="ç" * 500,
)
