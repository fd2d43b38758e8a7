"""Which objects below a prefix are transcribed, and which rule skips the others."""

import random
import re
import time
from datetime import UTC, datetime
from typing import Any

import pytest
from transcription_api.spec import Spec, parse_spec
from transcription_worker.batch.selection import compile_glob, skipping_rule
from transcription_worker.storage.object_listing import ListedObject

WRITTEN = datetime(2026, 11, 1, 12, tzinfo=UTC)


def spec(source: dict[str, Any] | None = None, destination: dict[str, Any] | None = None, **fields: Any) -> Spec:
    """Return a spec over the prefix calls/ of the bucket audio."""
    s3 = {"bucket": "audio", "prefix": "calls/"} | (source or {})
    target = {"bucket": "transcripts", "prefix": "out/"} | (destination or {})
    return parse_spec({"source": {"s3": s3}, "destination": {"s3": target} | fields})


def listed(key: str, size: int = 1000) -> ListedObject:
    """Return an object as a listing shows it."""
    return ListedObject(key, size, "etag", WRITTEN)


@pytest.mark.parametrize(
    ("glob", "text", "matches"),
    [
        ("*.mp3", "a.mp3", True),
        ("*.mp3", "b/a.mp3", False),
        ("**/*.mp3", "a.mp3", True),
        ("**/*.mp3", "b/c/a.mp3", True),
        ("**", "b/c/a.mp3", True),
        ("2026/**", "2026/11/a.wav", True),
        ("2026/**", "2025/11/a.wav", False),
        ("call?.wav", "call1.wav", True),
        ("call?.wav", "call/.wav", False),
        ("a+b[1].wav", "a+b[1].wav", True),
        ("*.wav", "line\nbreak.wav", True),
    ],
)
def test_a_glob_matches_what_its_signs_stand_for(glob: str, text: str, matches: bool) -> None:
    assert bool(compile_glob(glob).fullmatch(text)) is matches


def simple(glob: str) -> "re.Pattern[str]":
    """Return the expression that follows from what each sign stands for, and may take for ever."""
    meaning = {"**/": "(?:.*/)?", "**": ".*", "*": "[^/]*", "?": "[^/]"}
    parts = re.split(r"(\*\*/|\*\*|\*|\?)", glob)
    return re.compile("".join(meaning.get(part, re.escape(part)) for part in parts), re.DOTALL)


def test_every_glob_matches_what_its_signs_stand_for() -> None:
    chosen = random.Random(1)
    matched = 0
    for _ in range(5_000):
        glob = "".join(chosen.choices(["a", "b", "/", "*", "**", "**/", "?"], k=chosen.randint(1, 8)))
        text = "".join(chosen.choices("ab/", k=chosen.randint(0, 10)))
        wanted = bool(simple(glob).fullmatch(text))
        assert bool(compile_glob(glob).fullmatch(text)) is wanted, (glob, text)
        matched += wanted
    assert matched > 300


@pytest.mark.parametrize(
    ("glob", "text"),
    [
        ("*a" * 120 + "b", "a" * 1000),
        ("**a" * 80 + "b", "a" * 1000),
        ("**/" * 80 + "x", "a/" * 500),
        ("**/*a*a*a*b", "a" * 1000),
    ],
)
def test_no_glob_takes_long_for_any_key(glob: str, text: str) -> None:
    began = time.process_time()
    assert not compile_glob(glob).fullmatch(text)
    assert time.process_time() - began < 1.0


@pytest.mark.parametrize(
    ("source", "key", "size", "rule"),
    [
        ({}, "calls/a.wav", 1000, None),
        ({}, "calls/without-extension", 1000, None),
        ({}, "calls/folder/", 0, "Folder"),
        ({}, "calls/a.json", 1000, "NotMedia"),
        ({}, "calls/A.TXT", 1000, "NotMedia"),
        ({}, "calls/_SUCCESS", 0, "NotMedia"),
        ({}, "calls/2026_$folder$", 0, "NotMedia"),
        ({}, "calls/empty.wav", 0, None),  # the worker says what is wrong with it
        ({"include": ["**/*.mp3"]}, "calls/a.wav", 1000, "NotIncluded"),
        ({"include": ["**/*.mp3", "*.wav"]}, "calls/a.wav", 1000, None),
        ({"exclude": ["tmp/**"]}, "calls/tmp/a.wav", 1000, "Excluded"),
        ({"minSize": 1001}, "calls/a.wav", 1000, "TooSmall"),
        ({"minSize": 1000, "maxSize": 1000}, "calls/a.wav", 1000, None),
        ({"maxSize": 999}, "calls/a.wav", 1000, "TooLarge"),
        ({"modifiedAfter": "2026-11-01T12:00:00Z"}, "calls/a.wav", 1000, "NotModifiedAfter"),
        ({"modifiedAfter": "2026-11-01T11:59:59Z"}, "calls/a.wav", 1000, None),
    ],
)
def test_an_object_is_skipped_by_the_first_rule_that_it_breaks(
    source: dict[str, Any], key: str, size: int, rule: str | None
) -> None:
    assert skipping_rule(spec(source), listed(key, size)) == rule


def test_results_of_earlier_runs_never_become_sources() -> None:
    same = spec({"prefix": ""}, {"bucket": "audio", "prefix": "out/"})
    assert skipping_rule(same, listed("out/a.wav")) == "OwnResult"
    assert skipping_rule(same, listed("in/a.wav")) is None
    beside = spec({"prefix": ""}, {"bucket": "audio", "prefix": ""}, layout="Adjacent")
    assert skipping_rule(beside, listed("_runs/x-1/plan.wav")) == "OwnResult"
    assert skipping_rule(beside, listed("in/a.wav")) is None
    below = spec({"prefix": "out/raw/"}, {"bucket": "audio", "prefix": "out/"})
    assert skipping_rule(below, listed("out/raw/a.wav")) is None
