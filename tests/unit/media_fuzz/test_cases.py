"""Damaged media files are of many kinds, and the same for the same seed."""

import random
from collections.abc import Iterator
from itertools import islice

import pytest

from tests.media_fuzz import cases as made
from tests.media_fuzz.mutations import MUTATIONS, Mutation, unchanged
from tests.media_fuzz.recordings import KINDS, Kind

BODY = bytes(range(256)) * 40


@pytest.fixture(autouse=True)
def one_recording(monkeypatch: pytest.MonkeyPatch) -> None:
    """Spare ffmpeg: what the bytes are does not matter here."""
    monkeypatch.setattr(made, "recording", lambda kind: None if kind.extension == "wtv" else BODY)


def some(seed: str) -> Iterator[made.Case]:
    return made.cases(range(made.COUNT), seed)


def test_the_same_seed_gives_the_same_files_and_another_seed_others() -> None:
    first = list(islice(some("a"), 100))
    assert first == list(islice(some("a"), 100))
    assert [case.body for case in first] != [case.body for case in islice(some("b"), 100)]


def test_a_file_alone_is_the_one_of_the_whole_run() -> None:
    assert next(made.cases([77], "a")) == next(case for case in some("a") if case.number == 77)


def test_a_run_has_every_kind_that_can_be_written_and_every_way_of_damage() -> None:
    whole = list(some("a"))
    assert {case.kind for case in whole} == {kind for kind in KINDS if kind.extension != "wtv"}
    assert {name for case in whole for name in case.done} == {mutation.__name__ for mutation in MUTATIONS}
    assert any(not case.name.endswith(f".{case.kind.extension}") for case in whole)
    assert len({case.channel for case in whole}) == 4


def test_a_file_is_at_most_so_many_times_as_long_as_its_recording(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(made, "recording", lambda _: b"\1" * 100)
    assert max(len(case.body) for case in some("a")) == made.MOST_TIMES * 100


def test_a_file_is_joined_with_another_of_which_it_gets_so_much_at_most(monkeypatch: pytest.MonkeyPatch) -> None:
    assert 2 * len(BODY) in {len(case.body) for case in some("a") if case.done == ("join",)}
    monkeypatch.setattr(made, "recording", lambda _: bytes(100_000))
    assert {len(case.body) for case in some("a") if case.done == ("join",)} == {100_000 + made.MOST_JOINED}


def test_samples_have_every_kind_in_the_long_run_and_none_twice() -> None:
    samples = [made.sample(str(seed), 30) for seed in range(50)]
    assert {number % len(KINDS) for numbers in samples for number in numbers} == set(range(len(KINDS)))
    assert all(len({number % len(KINDS) for number in numbers}) == 30 for numbers in samples)
    assert {number // len(KINDS) for numbers in samples for number in numbers} == set(range(made.COUNT // len(KINDS)))


@pytest.mark.parametrize("mutation", MUTATIONS)
def test_a_mutation_changes_files_of_any_size(mutation: Mutation) -> None:
    changed = 0
    for seed in range(50):
        for body in (BODY, b"RIFF", b"x"):
            dice = random.Random(seed)
            changed += mutation(body, b"another file", dice) != body
    assert changed > 50 or mutation is unchanged


def test_a_case_says_what_it_is() -> None:
    case = next(made.cases([3], "a"))
    assert str(case).startswith(f"3: {Kind('wav', ('-c:a', 'pcm_u8'))}, ")
