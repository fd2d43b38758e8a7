"""Text that repeats itself is found in any script, and words are counted as speakers count them."""

import random

import pytest
from transcription_worker.engines.quality.repetition import LONGEST_PERIOD, count_words, split_words
from transcription_worker.engines.quality.repetition import find_loops as looped_units

from tests.support.sentences import LANGUAGES, sentence


def find_loops(texts: list[str]) -> set[int]:
    """Return which of the texts are part of a loop."""
    return looped_units([split_words(text) for text in texts])


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("", 0),
        (" ... ♪ - ", 0),
        (" The cat, it's said, sees the dog.", 7),
        ("¿Qué hora es?", 3),
        ("बहुत बहुत धन्यवाद।", 3),  # vowel signs are no letters of their own
        ("谢谢大家。", 2),
        ("สวัสดีครับ", 2),
        ("1,234.5", 1),
        ("a" * 50, 10),
    ],
)
def test_words_are_counted_as_speakers_of_the_language_would(text: str, words: float) -> None:
    assert count_words(split_words(text)) == pytest.approx(words)


@pytest.mark.parametrize(
    "texts",
    [
        ["No, no, no, no, no, no, no, no, no, no."],
        ["I am not sure, " * 4],
        ["Thank you."] * 5,
        ["Thanks for watching!"] * 4,
        ["One two", "three one", "two three", "one two", "three one", "two three"],  # a period across segments
        ["The cat sees the dog. And then. "] * 4,
        ["7777777777777777777777777777777"],
        ["7-7-7-7-7-7-7-7-7-7-7-7-7-7-7-7"],
        ["hahahahahahahahahahahahahahaha"],
        ["哈哈哈哈哈哈哈哈哈哈"],
        ["謝謝觀看"] * 4,
        [" ".join(f"word{number}" for number in range(LONGEST_PERIOD))] * 4,
    ],
)
def test_a_loop_is_found_in_all_of_its_texts(texts: list[str]) -> None:
    assert find_loops(texts) == set(range(len(texts)))


@pytest.mark.parametrize(
    "texts",
    [
        [],
        [""],
        ["", " ", "..."],
        ["No, no, no, no."],
        ["Very, very, very, very good, very good."],
        ["Thank you."] * 4,
        ["Thanks for watching!"] * 3,
        ["I am not sure yet."] * 3,
        ["Ha ha ha ha ha ha."],
        ["The cat sees the dog.", "The cat likes the dog.", "The cat sees the dog.", "The cat opens the dog."],
        ["Donaudampfschifffahrtselektrizitätenhauptbetriebswerkbauunterbeamtengesellschaft"],
        ["Row, row, row your boat, gently down the stream, merrily, merrily, merrily, merrily, life is but a dream."],
    ],
)
def test_what_people_say_is_no_loop(texts: list[str]) -> None:
    assert find_loops(texts) == set()


def test_case_and_punctuation_do_not_hide_a_loop() -> None:
    assert find_loops(["So it goes.", "so it goes", "SO IT GOES!", "- So it goes,"]) == {0, 1, 2, 3}


def test_the_text_around_a_loop_is_no_part_of_it() -> None:
    assert find_loops(["The green dog finds the train.", *["I see."] * 6, "Four seven eight."]) == {1, 2, 3, 4, 5, 6}


def test_a_long_text_that_ends_in_a_loop_is_part_of_it() -> None:
    text = "After the meeting we all walked along the river for an hour or two and then went home. " + "So we did. " * 5
    assert find_loops([text]) == {0}


@pytest.mark.parametrize("language", LANGUAGES)
def test_ten_hours_of_a_small_grammar_have_no_loop(language: str) -> None:
    draw = random.Random(1)
    assert find_loops([sentence(language, draw) for _ in range(12_000)]) == set()
