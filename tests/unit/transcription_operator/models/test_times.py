"""Times are compared as times, whatever their form; a text that is no time is found out before it does harm."""

import pytest
from transcription_operator.models.times import format_time, is_time, latest, parse_time, seconds_between


@pytest.mark.parametrize(
    ("text", "same"),
    [
        ("2026-01-02T03:04:05Z", "2026-01-02T03:04:05Z"),
        ("2026-01-02T03:04:05.999999Z", "2026-01-02T03:04:05Z"),  # as metav1.MicroTime
        ("2026-01-02T03:04:05.123456789Z", "2026-01-02T03:04:05Z"),
        ("2026-01-02T04:04:05+01:00", "2026-01-02T03:04:05Z"),
        ("2026-01-02t03:04:05z", "2026-01-02T03:04:05Z"),  # RFC 3339 and the CRD's format date-time allow it
        ("2026-01-02T03:04:05", "2026-01-02T03:04:05Z"),
        ("0001-01-01T00:00:00Z", "0001-01-01T00:00:00Z"),  # Go's zero time
    ],
)
def test_every_form_of_a_time_is_read_as_utc(text: str, same: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TZ", "Asia/Tokyo")
    assert is_time(text)
    assert format_time(parse_time(text)) == same


@pytest.mark.parametrize("text", ["0001-01-01T00:00:00+05:00", "9999-12-31T23:59:59-05:00"])
def test_a_time_out_of_range_is_the_nearest_in_range(text: str) -> None:
    assert parse_time(text).year in (1, 9999)


@pytest.mark.parametrize("text", ["", "yesterday", "2026-13-01T00:00:00Z", "2026-01-02", "12"])
def test_a_text_that_is_no_time_is_a_value_error(text: str) -> None:
    assert not is_time(text)
    with pytest.raises(ValueError, match="time"):
        parse_time(text)


def test_seconds_between_the_ends_of_time_are_a_number() -> None:
    assert seconds_between("0001-01-01T00:00:00Z", "9999-12-31T23:59:59Z") > 0


def test_the_latest_time_is_found_with_and_without_fractions() -> None:
    assert latest("2026-01-02T03:04:05Z", "2026-01-02T03:04:05.5Z") == "2026-01-02T03:04:05.5Z"
