"""Write log lines to stderr, as text or as one JSON object per line, with the resource that they are about."""

import datetime
import json
import logging
import os
import traceback
from collections.abc import Mapping

from transcription_api import names
from transcription_api.log_lines import one_line

LEVELS = ("DEBUG", "INFO", "WARNING", "ERROR")

# Libraries whose debug lines hold requests, headers or data. Their loggers show warnings and errors only.
NOISY = ("botocore", "boto3", "s3transfer", "urllib3", "numba")

# The namespace, name and uid of the resource that every line is about.
_subject: dict[str, str] = {}


def start_logging() -> None:
    """Set up logging as the environment says. It is called once, before anything is logged.

    LOG_FORMAT is json or text, and LOG_LEVEL one of LEVELS. Without them, or with any other value, lines are text at INFO.
    """
    level = logging.getLevelNamesMapping()[_level_name()]
    handler = logging.StreamHandler()
    handler.setFormatter(JsonFormatter() if os.environ.get(names.ENV_LOG_FORMAT) == "json" else TextFormatter())
    logging.basicConfig(level=max(level, logging.INFO), handlers=[handler], force=True)
    logging.captureWarnings(True)
    # Only our own loggers go below INFO, because a library's debug lines may hold data.
    logging.getLogger("transcription_worker").setLevel(level if level < logging.INFO else logging.NOTSET)
    for name in NOISY:
        logging.getLogger(name).setLevel(max(level, logging.WARNING))


def _level_name() -> str:
    name = os.environ.get(names.ENV_LOG_LEVEL, "")
    return name if name in LEVELS else "INFO"


def log_about(subject: Mapping[str, str]) -> None:
    """Name this resource in every later line. `subject` has the keys namespace, name and uid."""
    _subject.update(subject)


def traceback_of(error: BaseException) -> str:
    """Return the traceback with the exceptions' types but without their messages, which may hold data."""
    lines = traceback.format_list(traceback.extract_tb(error.__traceback__))
    cause = error.__cause__ or error.__context__
    before = traceback_of(cause) + "\n" if cause is not None else ""
    return f"{before}{''.join(lines)}{type(error).__name__}"


class JsonFormatter(logging.Formatter):
    """Formats a record as a JSON object of time (RFC 3339, UTC), level, logger, message and the subject's fields."""

    def format(self, record: logging.LogRecord) -> str:
        fields = {
            "time": _time(record),
            "level": record.levelname,
            "logger": record.name,
            "message": one_line(record.getMessage()),
        }
        return json.dumps(fields | _subject | _error(record), ensure_ascii=False, allow_nan=False)


class TextFormatter(logging.Formatter):
    """Formats a record for people, as time, level, message and the subject in brackets."""

    def format(self, record: logging.LogRecord) -> str:
        about = f" [{_subject['namespace']}/{_subject['name']} {_subject['uid']}]" if _subject else ""
        error = "".join(f"\n{text}" for text in _error(record).values())
        return f"{_time(record)} {record.levelname:<7} {one_line(record.getMessage())}{about}{error}"


def _time(record: logging.LogRecord) -> str:
    moment = datetime.datetime.fromtimestamp(record.created, datetime.UTC)
    return moment.isoformat(timespec="milliseconds").replace("+00:00", "Z")


def _error(record: logging.LogRecord) -> dict[str, str]:
    if not record.exc_info or record.exc_info[1] is None:
        return {}
    return {"traceback": traceback_of(record.exc_info[1])}
