"""Two files of a plan with one result are both named, and neither is transcribed."""

from typing import Any

import pytest
from transcription_api.decoding import MAX_SPLIT_CHANNELS
from transcription_api.layout import file_name
from transcription_api.spec import Channel, Format, Spec, parse_spec
from transcription_worker.batch.entries import Entry, Overrides
from transcription_worker.batch.result_conflicts import without_conflicts
from transcription_worker.pipeline.channel_names import channel_of

MIXED, APART = Overrides(channel=Channel.MIX), Overrides(channel=Channel.SPLIT)


def spec(channel: str = "mix", formats: tuple[str, ...] = ("txt",), **destination: Any) -> Spec:
    target = {"s3": {"bucket": "transcripts", "prefix": "out/"}} | destination
    source = {"s3": {"bucket": "audio", "prefix": ""}}
    return parse_spec(
        {"source": source, "destination": target, "formats": list(formats), "audio": {"channel": channel}}
    )


def refused(spec: Spec, *named: str | tuple[str, Overrides]) -> dict[str, str]:
    """Return the message of each file that is left out, by its key."""
    pairs = [(item, Overrides()) if isinstance(item, str) else item for item in named]
    entries = [
        Entry(number, key, "etag", 1000, 2.0, overrides=overrides) for number, (key, overrides) in enumerate(pairs)
    ]
    good, rows = without_conflicts(spec, entries)
    assert {entry.number for entry in good} | {row.number for row in rows} == set(range(len(named)))
    assert len(good) + len(rows) == len(named)
    assert {row.reason for row in rows} <= {"ResultConflict"}
    return {row.key: row.message or "" for row in rows}


def test_two_files_of_one_name_are_both_left_out() -> None:
    found = refused(spec(), "a/call.wav", "a/call.mp3", "b/call.wav")
    assert found == {
        "a/call.wav": "'a/call.wav' and 'a/call.mp3' both have the result 'out/a/call.report.json'",
        "a/call.mp3": "'a/call.mp3' and 'a/call.wav' both have the result 'out/a/call.report.json'",
    }


@pytest.mark.parametrize("split_first", [True, False])
def test_a_channel_and_a_file_with_a_channels_name_are_both_left_out(split_first: bool) -> None:
    named = [("call.wav", APART), ("call.ch0.wav", MIXED)]
    found = refused(spec(), *(named if split_first else reversed(named)), "other.wav")
    assert found == {
        "call.wav": "'call.wav' and 'call.ch0.wav' both have the result 'out/call.ch0.txt'",
        "call.ch0.wav": "'call.ch0.wav' and 'call.wav' both have the result 'out/call.ch0.txt'",
    }


def test_every_file_with_the_name_of_one_of_the_channels_is_left_out() -> None:
    found = refused(spec("split"), "call.wav", ("call.ch0.wav", MIXED), ("call.ch15.wav", MIXED))
    assert set(found) == {"call.wav", "call.ch0.wav", "call.ch15.wav"}


@pytest.mark.parametrize(
    "named",
    [
        ("call.wav", ("call.ch16.wav", MIXED)),  # no file has so many channels that are split
        ("call.wav", ("call.ch00.wav", MIXED)),
        ("call.wav", "call.ch0.wav"),  # call.ch0.txt and call.ch0.ch0.txt
        (("call.wav", MIXED), ("call.ch0.wav", MIXED)),
        ("a/call.wav", ("b/call.ch0.wav", MIXED)),
        ("call.wav", ("call.ch0.wav", Overrides(channel=Channel.MIX, formats=(Format.SRT,)))),
        ("call.wav", (".ch0.wav", MIXED)),
    ],
)
def test_files_whose_results_have_names_of_their_own_are_transcribed(named: tuple[Any, ...]) -> None:
    assert refused(spec("split"), *named) == {}


def test_a_json_that_would_be_another_files_report_is_left_out() -> None:
    assert set(refused(spec(formats=("json",)), "call.wav", "call.report.wav")) == {"call.wav", "call.report.wav"}


def test_the_names_of_channels_are_those_that_results_get() -> None:
    for channel in range(MAX_SPLIT_CHANNELS):
        assert channel_of(file_name("a.b", Format.TXT, channel).removesuffix(".txt")) == ("a.b", channel)
    assert channel_of(f"a.ch{MAX_SPLIT_CHANNELS}") is None
