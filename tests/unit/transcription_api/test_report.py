"""The termination message holds every report."""

import dataclasses
import json

import pytest
from transcription_api import reasons
from transcription_api.report import (
    MAX_OBJECTS,
    MAX_WARNINGS,
    TERMINATION_MESSAGE_LIMIT,
    WARNING_LIMIT,
    DeviceUsed,
    QualityCounts,
    Report,
    WrittenObject,
    encode_report,
    failure,
    parse_report,
)
from transcription_api.spec import Format

from tests.support.reports import WHOLE


def test_a_report_reads_back_as_it_was_written() -> None:
    assert parse_report(encode_report(WHOLE)) == WHOLE


def test_a_report_that_is_too_long_loses_its_preview_and_nothing_else() -> None:
    short = parse_report(encode_report(WHOLE, limit=1500))
    assert short is not None
    assert short.preview is None
    assert short.objects == WHOLE.objects


def test_sixteen_channels_in_every_format_fit_and_keep_sizes_and_names() -> None:
    objects = tuple(
        WrittenObject(fmt, 10**9, '"' + "f" * 40 + '-10"', channel) for channel in range(16) for fmt in Format
    )
    quality = QualityCounts("doubtful", 1000, 1000, 1000, 1000, 1000)
    whole = dataclasses.replace(
        WHOLE, objects=objects, channels=16, quality=quality, precision="bfloat16", long_form="sequential"
    )
    assert len(objects) == MAX_OBJECTS
    encoded = encode_report(failure(reasons.QUALITY_REJECTED, "\N{SNOWMAN}" * 1024, **fields_of(whole)))
    assert len(encoded) <= TERMINATION_MESSAGE_LIMIT
    parsed = parse_report(encoded)
    assert parsed is not None
    assert [(item.format, item.size, item.channel) for item in parsed.objects] == [
        (item.format, item.size, item.channel) for item in objects
    ]
    assert {item.etag for item in parsed.objects} == {""}
    assert parsed.quality == quality


def test_warnings_fit_beside_sixteen_channels_and_stay_in_some_words() -> None:
    objects = tuple(WrittenObject(fmt, 10**9, "", channel) for channel in range(16) for fmt in Format)
    warnings = ("\N{SNOWMAN}" * WARNING_LIMIT,) * MAX_WARNINGS
    whole = dataclasses.replace(WHOLE, objects=objects, channels=16, warnings=warnings)
    encoded = encode_report(failure(reasons.QUALITY_REJECTED, "\N{SNOWMAN}" * 1024, **fields_of(whole)))
    assert len(encoded) <= TERMINATION_MESSAGE_LIMIT
    parsed = parse_report(encoded)
    assert parsed is not None
    assert len(parsed.warnings or ()) == MAX_WARNINGS
    assert all(words.startswith("\N{SNOWMAN}" * 10) for words in (parsed.warnings or ()))


def fields_of(report: Report) -> dict[str, object]:
    """Return all that is known except why it failed."""
    known = {field.name: getattr(report, field.name) for field in dataclasses.fields(report)}
    return {name: value for name, value in known.items() if name not in ("reason", "message")}


def test_the_longest_failure_fits_the_termination_message() -> None:
    device = DeviceUsed("cpu", fallback_reason=reasons.GPU_NOT_VISIBLE.name, fallback_message="\N{SNOWMAN}" * 1024)
    encoded = encode_report(failure(reasons.UNSUPPORTED_MEDIA, "\N{SNOWMAN}" * 5000, device=device))
    assert len(encoded) <= TERMINATION_MESSAGE_LIMIT
    parsed = parse_report(encoded)
    assert parsed is not None
    assert parsed.reason == "UnsupportedMedia"


@pytest.mark.parametrize("text", ["", "OOMKilled", '{"reason": "NoSuchK', "null", "[]", "3"])
def test_what_is_no_report_is_told_apart(text: str) -> None:
    assert parse_report(text) is None


def test_rtfx_is_audio_seconds_for_each_second_of_transcribing() -> None:
    assert WHOLE.rtfx == 360.0
    assert Report(audio_seconds=10.0).rtfx is None


def test_no_field_of_a_report_can_hold_the_transcript_but_the_preview() -> None:
    assert "text" not in json.loads(encode_report(WHOLE))
