"""No timestamp and no word leaves the next window where this one is."""

import math
from typing import Any

import pytest
from transcription_worker.engines.standstill import drop_standstill, hold_last_word

BEGIN = 50364


@pytest.mark.parametrize(
    ("tokens", "kept"),
    [
        pytest.param([], [], id="no token"),
        pytest.param([5, 6], [5, 6], id="text alone"),
        pytest.param([BEGIN, 5, BEGIN + 9], [BEGIN, 5, BEGIN + 9], id="no pair"),
        pytest.param(
            [BEGIN, 5, BEGIN + 9, BEGIN + 9, 6], [BEGIN, 5, BEGIN + 9, BEGIN + 9, 6], id="a pair that leads on"
        ),
        pytest.param(
            [BEGIN, BEGIN, 5, BEGIN], [BEGIN, BEGIN, 5, BEGIN], id="a last timestamp, after which nobody speaks"
        ),
        pytest.param([BEGIN, BEGIN, 5], [5], id="a pair that leads nowhere"),
        pytest.param([BEGIN + 9, BEGIN + 9, 5, BEGIN, BEGIN], [5], id="a last pair that leads nowhere"),
    ],
)
def test_timestamps_that_lead_nowhere_are_dropped(tokens: list[int], kept: list[int]) -> None:
    assert drop_standstill(tokens, BEGIN) == kept


def segments(*ends: float) -> list[dict[str, Any]]:
    return [{"words": [{"word": " a", "start": 8.0, "end": end}]} for end in ends]


@pytest.mark.parametrize(
    ("end", "held"),
    [
        (8.5, 8.5),
        (8.98, 8.98),
        (math.nextafter(8.98, 9), 8.98),  # what is left of a sum of durations
        (8.984, 8.98),
        (8.99, 8.99),
        (11.0, 11.0),
    ],
)
def test_a_last_word_that_rounds_to_the_windows_start_ends_there(end: float, held: float) -> None:
    found = segments(9.5, end)
    hold_last_word(found, 898, 898 / 100)
    assert [segment["words"][0]["end"] for segment in found] == [9.5, held]


def test_a_window_without_words_stays_as_it_is() -> None:
    found: list[dict[str, Any]] = [{"words": []}]
    hold_last_word(found, 898, 8.98)
    assert found == [{"words": []}]
