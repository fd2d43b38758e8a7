"""Results are named after their source, and the fingerprint changes with what decides the result."""

from typing import Any

import pytest
from transcription_api.layout import fingerprint, report_key, result_key
from transcription_api.spec import Format, Spec, parse_spec


def spec(key: str = "interviews/01.wav", prefix: str = "out/", **more: Any) -> Spec:
    return parse_spec(
        {
            "source": {"s3": {"bucket": "audio", "key": key}},
            "destination": {"s3": {"bucket": "transcripts", "prefix": prefix}},
            **more,
        }
    )


@pytest.mark.parametrize(
    ("key", "prefix", "expected"),
    [
        ("interviews/01.wav", "out/", "out/01.srt"),
        ("01.tar.wav", "", "01.tar.srt"),
        ("no-extension", "out/", "out/no-extension.srt"),
        ("a/../b.mp3", "out/", "out/b.srt"),
        ("uma gravação.m4a", "out/pre-", "out/pre-uma gravação.srt"),
        ("in/CALL.MP3", "out/", "out/CALL.srt"),
        ("2024.01.05 standup", "out/", "out/2024.01.05 standup.srt"),
        ("in/v1.2", "out/", "out/v1.2.srt"),
    ],
)
def test_a_result_is_named_after_the_sources_file(key: str, prefix: str, expected: str) -> None:
    assert result_key(spec(key, prefix), Format.SRT) == expected


def test_a_full_name_keeps_the_extension() -> None:
    def keys(naming: str) -> set[str]:
        value = {"bucket": "transcripts", "prefix": "out/"}
        both = [spec(key, destination={"s3": value, "naming": naming}) for key in ("in/call.mp3", "in/call.wav")]
        return {result_key(one, Format.JSON) for one in both} | {report_key(one) for one in both}

    assert keys("Stem") == {"out/call.json", "out/call.report.json"}
    assert keys("Full") == {f"out/call.{end}" for end in ("mp3.json", "wav.json", "mp3.report.json", "wav.report.json")}


def test_each_channel_of_a_split_file_has_a_name_of_its_own() -> None:
    assert result_key(spec(), Format.SRT, 0) == "out/01.ch0.srt"
    assert len({result_key(spec(), fmt, channel) for fmt in Format for channel in (None, 0, 1)}) == 3 * len(Format)


def test_the_longest_key_that_is_admitted_fits_s3() -> None:
    """The schema lets prefix and file name have 1,012 bytes together; a key of S3 has at most 1,024."""
    long = spec("a/" + "n" * 244, "p" * 768, audio={"channel": "split"})
    keys = [result_key(long, fmt, channel) for fmt in Format for channel in (None, 99)]
    assert max(len(key) for key in [*keys, report_key(long)]) <= 1024


def test_the_report_never_takes_the_key_of_a_result() -> None:
    results = {result_key(spec(), fmt) for fmt in Format}
    assert report_key(spec()) == "out/01.report.json"
    assert report_key(spec()) not in results


@pytest.mark.parametrize(
    "change",
    [
        {"key": "interviews/02.wav"},
        {"language": "pt"},
        {"task": "translate", "model": {"name": "small"}},
        {"model": {"name": "small"}},
        {"decoding": {"beamSize": 1}},
        {"formats": ["json"]},
        {"engine": "openai-whisper"},
        {"languageDetection": {"windows": 1}},
        {"audio": {"channel": "left"}},
        {"audio": {"clips": [{"start": 1}]}},
        {"audio": {"track": 1}},
        {"audio": {"truncated": "Fail"}},
        {"decoding": {"longForm": "chunked"}},
        {"quality": {"policy": "retry"}},
        {"subtitles": {"maxLineWidth": 42}},
    ],
)
def test_what_changes_the_result_changes_the_fingerprint(change: dict[str, Any]) -> None:
    assert fingerprint(spec(**change)) != fingerprint(spec())


@pytest.mark.parametrize(
    "change",
    [
        {"retries": 0},
        {"suspend": True},
        {"device": {"policy": "CPU"}},
        {"ttlSecondsAfterFinished": 5},
        {"formats": ["txt", "json"]},
        {"model": {"cache": {"type": "Node"}}},
    ],
)
def test_what_does_not_change_the_result_keeps_the_fingerprint(change: dict[str, Any]) -> None:
    assert fingerprint(spec(**change)) == fingerprint(spec())
