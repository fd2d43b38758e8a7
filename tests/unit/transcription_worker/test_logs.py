"""Log lines name the resource and keep data out."""

import json
import logging
from collections.abc import Iterator
from typing import NoReturn

import pytest
from transcription_worker import logs

SUBJECT = {"namespace": "team-a", "name": "interview", "uid": "7c1d"}


@pytest.fixture(autouse=True)
def _subject() -> Iterator[None]:
    logs.log_about(SUBJECT)
    yield
    logs._subject.clear()


def record_of(error: BaseException | None = None) -> logging.LogRecord:
    exc_info = (type(error), error, error.__traceback__) if error else None
    return logging.LogRecord("worker", logging.INFO, "x.py", 1, "stage %s", ("fetch",), exc_info)


def failing(words: str) -> ValueError:
    try:
        fail(KeyError(words))
    except KeyError as cause:
        error = ValueError(words)
        error.__cause__ = cause
        return error


def fail(error: Exception) -> NoReturn:
    raise error


def test_a_json_line_holds_the_resource() -> None:
    line = json.loads(logs.JsonFormatter().format(record_of()))
    assert line | SUBJECT == line
    assert line["message"] == "stage fetch"
    assert line["time"].endswith("Z")


def test_a_text_line_holds_the_resource() -> None:
    assert logs.TextFormatter().format(record_of()).endswith("INFO    stage fetch [team-a/interview 7c1d]")


@pytest.mark.parametrize("formatter", [logs.JsonFormatter(), logs.TextFormatter()])
def test_a_traceback_shows_where_and_what_kind_but_not_the_words(formatter: logging.Formatter) -> None:
    line = formatter.format(record_of(failing("what the patient said")))
    assert "KeyError" in line
    assert "ValueError" in line
    assert "in fail" in line
    assert "patient" not in line
