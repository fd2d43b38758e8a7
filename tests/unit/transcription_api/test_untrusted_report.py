"""A report or progress that anybody may have written is read as far as it fits, and raises nothing else than ValueError."""

import dataclasses
import json
import math
import time
from typing import Any

import pytest
from transcription_api import report
from transcription_api.codec import to_json
from transcription_api.report import Progress, QualityCounts, Report, WrittenObject, parse_report
from transcription_api.spec import Format

from tests.support.json_mutations import mutations
from tests.support.reports import WHOLE

MUTATIONS = 10_000
SPLIT = dataclasses.replace(
    WHOLE,
    channels=2,
    quality=QualityCounts("doubtful", 1, 2, 3),
    objects=tuple(WrittenObject(fmt, 10, "f", channel) for fmt in Format for channel in (0, 1)),
    preview=None,
)


def said(**fields: Any) -> str:
    return json.dumps(to_json(SPLIT) | fields)


def leaves(value: Any) -> list[Any]:
    """Return the texts, numbers and truth values at every depth."""
    if isinstance(value, dict):
        return [leaf for item in value.values() for leaf in leaves(item)]
    return [leaf for item in value for leaf in leaves(item)] if isinstance(value, list) else [value]


def is_presentable(value: Any) -> bool:
    """Whether every part can be encoded, shown and added up."""
    for leaf in leaves(to_json(value)):
        if isinstance(leaf, str) and (len(leaf.encode()) > 4 * 4096 or {"\x00", "\x1b"} & set(leaf)):
            return False
        if isinstance(leaf, int | float) and not (math.isfinite(leaf) and 0 <= leaf < 2**63):
            return False
    return True


def test_no_change_of_a_report_makes_its_reader_raise() -> None:
    small = dataclasses.replace(SPLIT, objects=SPLIT.objects[:2])
    for text in mutations(to_json(small), MUTATIONS):
        read = parse_report(text)
        assert read is None or is_presentable(read), text


def test_no_change_of_progress_makes_its_reader_raise_anything_but_a_value_error() -> None:
    whole = to_json(Progress("transcribe", 1.0, 2.0, 3.0, SPLIT.device, "pt"))
    read = 0
    for text in mutations(whole, MUTATIONS):
        try:
            assert is_presentable(report.parse_progress(text)), text
            read += 1
        except ValueError:
            continue
    assert read > MUTATIONS / 10


@pytest.mark.parametrize(
    "text",
    [
        "[" * 60_000,
        '{"objects":' * 10_000,
        '"' + '\\"' * 30_000,
        '"' + "[" * 30_000,
        '{"a":"' + "\\" * 60_001,
        "[]," * 20_000,
        "9" * 60_000,
        " " * 10_000_000,
        said(preview="x" * 10_000_000),
    ],
    ids=lambda text: text[:12],
)
def test_a_message_that_is_made_to_be_hard_is_no_report_and_takes_no_time(text: str) -> None:
    began = time.monotonic()
    assert parse_report(text) is None
    assert parse_report(text.encode()) is None
    assert time.monotonic() - began < 10.0  # of minutes, where time grows with the square of the length


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("audioSeconds", -1.0),
        ("audioSeconds", float("nan")),
        ("wallSeconds", float("inf")),
        ("wallSeconds", 10**400),
        ("words", -1),
        ("words", 2**63),
        ("segments", 1.5),
        ("segments", "many"),
        ("channels", 0),
        ("channels", 2_000_000_000),
        ("languageProbability", 1.01),
        ("language", ["pt"]),
        ("model", {"digest": "sha256:0"}),
        ("device", "cuda"),
        ("quality", {"verdict": None}),
    ],
    ids=lambda value: str(value)[:20],
)
def test_a_field_that_does_not_fit_costs_that_field_and_nothing_else(field: str, value: Any) -> None:
    read = parse_report(said(**{field: value}))
    assert read is not None
    assert field not in to_json(read)
    assert to_json(read) == {key: item for key, item in to_json(SPLIT).items() if key != field}


def test_one_count_that_does_not_fit_leaves_the_others() -> None:
    read = parse_report(said(quality={"verdict": "bad", "lowConfidence": -3, "repetitionLoops": 4}))
    assert read is not None
    assert read.quality == QualityCounts("bad", repetition_loops=4)


@pytest.mark.parametrize("size", [-1, 2**63, 1.5, "10", None])
def test_an_object_that_does_not_fit_counts_as_not_written(size: Any) -> None:
    other = to_json(SPLIT.objects[1])
    read = parse_report(said(objects=[{"format": "json", "size": size, "etag": "e"}, other]))
    assert read is not None
    assert read.objects == SPLIT.objects[1:2]


def test_what_only_a_newer_version_knows_is_ignored_and_costs_no_result() -> None:
    newer = {"format": "lrc", "size": 10, "etag": "e"}
    objects = [{**item, "storageClass": "cold"} for item in to_json(SPLIT.objects)]
    read = parse_report(said(speakers=2, objects=[*objects, newer], device={**to_json(SPLIT.device), "uuid": "GPU-1"}))
    assert read == SPLIT


def test_the_reason_of_a_newer_version_keeps_its_name_and_message() -> None:
    read = parse_report(said(reason="SpeakersUncertain2", message="who is it?"))
    assert read is not None
    assert (read.reason, read.message) == ("SpeakersUncertain2", "who is it?")


@pytest.mark.parametrize(
    "reason", [5, "", "two words", "R" * 64, ["NoSuchKey"], "\ud800", "No\nSuchKey", "NoSuchKey\n"]
)
def test_a_report_whose_reason_cannot_be_read_is_none_and_never_one_of_success(reason: Any) -> None:
    assert parse_report(said(reason=reason)) is None


def test_texts_are_cut_and_hold_nothing_that_a_terminal_or_utf8_cannot_take() -> None:
    read = parse_report(said(reason="NoSuchKey", message="\ud800\x1b[2J\x00" + "x" * 5000, engine="e" * 300))
    assert read is not None
    assert read.message is not None
    assert read.message.startswith("\ufffd\ufffd[2J\ufffdxx")
    assert (len(read.message), read.message[-1]) == (1024, "…")
    assert read.engine == "e" * 255 + "…"
    read.message.encode()


def test_a_key_that_is_there_twice_has_its_last_value() -> None:
    read = parse_report('{"words": 1, "words": 2}')
    assert read is not None
    assert read.words == 2


def test_a_message_with_a_byte_that_is_no_character_can_be_written() -> None:
    written = report.encode_report(Report(reason="NoSuchKey", message="file \udcff"))
    assert parse_report(written) == Report(reason="NoSuchKey", message="file ?")
