"""Log lines name the resource and keep data out."""

import json
import logging
from collections.abc import Iterator
from typing import NoReturn

import pytest
from transcription_api import names
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
def test_a_name_with_a_line_end_makes_no_line_of_its_own(formatter: logging.Formatter) -> None:
    record = logging.LogRecord("a", logging.INFO, "a.py", 1, "key %s", ("a\n2026 ERROR forged\x1b[2J",), None)
    line = formatter.format(record)
    assert len(line.splitlines()) == 1
    assert "\x1b" not in line


@pytest.mark.parametrize("formatter", [logs.JsonFormatter(), logs.TextFormatter()])
def test_a_traceback_shows_where_and_what_kind_but_not_the_words(formatter: logging.Formatter) -> None:
    line = formatter.format(record_of(failing("what the patient said")))
    assert "KeyError" in line
    assert "ValueError" in line
    assert "in fail" in line
    assert "patient" not in line


@pytest.fixture
def _restored_logging() -> Iterator[None]:
    loggers = [logging.getLogger(name) for name in ("", "transcription_worker", *logs.NOISY)]
    levels, handlers = [logger.level for logger in loggers], logging.root.handlers
    logging.root.handlers = []
    yield
    logging.captureWarnings(False)
    logging.root.handlers = handlers
    for logger, level in zip(loggers, levels, strict=True):
        logger.setLevel(level)


def logged_at(level: str | None, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> set[str]:
    """Return which of the lines below reach stderr, with this LOG_LEVEL and JSON as the format."""
    monkeypatch.setenv(names.ENV_LOG_FORMAT, "json")
    if level is not None:
        monkeypatch.setenv(names.ENV_LOG_LEVEL, level)
    logs.start_logging()
    for name in ("transcription_worker.run", "whisper", "botocore"):
        for at in logs.LEVELS:
            logging.getLogger(name).log(logging.getLevelNamesMapping()[at], "%s %s", name.partition(".")[0], at)
    return {json.loads(line)["message"] for line in capsys.readouterr().err.splitlines()}


ERRORS = {"transcription_worker ERROR", "whisper ERROR", "botocore ERROR"}
WARNINGS = ERRORS | {"transcription_worker WARNING", "whisper WARNING", "botocore WARNING"}
INFOS = WARNINGS | {"transcription_worker INFO", "whisper INFO"}


@pytest.mark.usefixtures("_restored_logging")
@pytest.mark.parametrize(
    ("level", "shown"),
    [
        (None, INFOS),
        ("loud", INFOS),
        ("DEBUG", INFOS | {"transcription_worker DEBUG"}),
        ("WARNING", WARNINGS),
        ("ERROR", ERRORS),
    ],
)
def test_the_level_of_the_environment_hides_lines_below_it_and_never_shows_debug_lines_of_libraries(
    level: str | None, shown: set[str], monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    assert logged_at(level, monkeypatch, capsys) == shown
