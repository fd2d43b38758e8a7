"""The level of the settings holds for the operator's lines and for those of its libraries."""

import logging
from collections.abc import Iterator

import pytest
from transcription_operator.models.objects import Key
from transcription_operator.observability.logs import configure_logs, log_context

from tests.support.kubernetes_objects import SPEC, resource

NOISY = ("kopf", "aiohttp.access", "asyncio")


@pytest.fixture(autouse=True)
def _restored_logging() -> Iterator[None]:
    loggers = [logging.getLogger(name) for name in ("", *NOISY)]
    levels, handlers = [logger.level for logger in loggers], logging.root.handlers
    logging.root.handlers = []
    yield
    logging.root.handlers = handlers
    for logger, level in zip(loggers, levels, strict=True):
        logger.setLevel(level)


def shown(logger: str, capsys: pytest.CaptureFixture[str]) -> list[str]:
    for level in (logging.DEBUG, logging.INFO, logging.WARNING, logging.ERROR):
        logging.getLogger(logger).log(level, "something happened")
    return [line.split()[2] for line in capsys.readouterr().err.splitlines()]


@pytest.mark.parametrize(
    ("level", "own", "kopf"),
    [
        ("DEBUG", ["DEBUG", "INFO", "WARNING", "ERROR"], ["WARNING", "ERROR"]),
        ("INFO", ["INFO", "WARNING", "ERROR"], ["WARNING", "ERROR"]),
        ("ERROR", ["ERROR"], ["ERROR"]),
    ],
)
def test_the_level_hides_lines_below_it_and_kopf_never_shows_more_than_warnings(
    level: str, own: list[str], kopf: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    configure_logs("text", level)
    assert shown("transcription_operator.startup", capsys) == own
    assert shown("kopf.objects", capsys) == kopf


def test_a_line_of_text_names_the_resource_only_while_it_is_reconciled(capsys: pytest.CaptureFixture[str]) -> None:
    configure_logs("text", "INFO")
    with log_context(Key("team-a", "interview"), resource(SPEC)):
        logging.getLogger("transcription_operator").info("created Job x")
    logging.getLogger("transcription_operator").info("listed")
    inside, outside = capsys.readouterr().err.splitlines()
    assert inside.endswith("[team-a/interview] created Job x")
    assert outside.endswith("INFO    listed")


@pytest.mark.parametrize("log_format", ["text", "json"])
@pytest.mark.parametrize("said", ["a\n2026-01-01 ERROR forged", "a\r\nb", "a\u2028b", "\x1b[2Ja", "a\ud800"])
def test_what_others_say_makes_no_line_of_its_own_and_drives_no_terminal(
    log_format: str, said: str, capsys: pytest.CaptureFixture[str]
) -> None:
    configure_logs(log_format, "INFO")
    logging.getLogger("transcription_operator").warning("refused: %s", said)
    shown = capsys.readouterr().err
    assert len(shown.splitlines()) == 1
    assert "\x1b" not in shown
    assert "refused: " in shown


def test_a_message_without_end_is_cut_and_its_length_is_told(capsys: pytest.CaptureFixture[str]) -> None:
    configure_logs("text", "INFO")
    logging.getLogger("transcription_operator").warning("x" * 1_000_000)
    shown = capsys.readouterr().err
    assert len(shown) < 5000
    assert shown.endswith("… (1000000 characters)\n")
