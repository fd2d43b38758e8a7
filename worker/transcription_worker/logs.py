"""Log lines on stderr, as text or as one JSON object a line, with the resource that they are about."""

import datetime
import json
import logging
import os
import traceback
from collections.abc import Mapping

# json or text; the chart sets it for operator and workers alike.
ENV_FORMAT = "LOG_FORMAT"

# Libraries whose debug lines hold requests, headers or data: they never go below warnings.
NOISY = ("botocore", "boto3", "s3transfer", "urllib3", "numba")

# The subject of every line: namespace, name and uid of the resource.
_subject: dict[str, str] = {}


def start_logging() -> None:
    """Once, before anything is logged."""
    handler = logging.StreamHandler()
    handler.setFormatter(JsonFormatter() if os.environ.get(ENV_FORMAT) == "json" else TextFormatter())
    logging.basicConfig(level=logging.INFO, handlers=[handler], force=True)
    logging.captureWarnings(True)
    for name in NOISY:
        logging.getLogger(name).setLevel(logging.WARNING)


def log_about(subject: Mapping[str, str]) -> None:
    """From now on every line names this resource."""
    _subject.update(subject)


def traceback_of(error: BaseException) -> str:
    """Where it happened and the types, without the exceptions' own words: those may hold data."""
    lines = traceback.format_list(traceback.extract_tb(error.__traceback__))
    cause = error.__cause__ or error.__context__
    before = traceback_of(cause) + "\n" if cause is not None else ""
    return f"{before}{''.join(lines)}{type(error).__name__}"


class JsonFormatter(logging.Formatter):
    """One object a line: time (RFC 3339, UTC), level, logger, message and the subject."""

    def format(self, record: logging.LogRecord) -> str:
        fields = {
            "time": _time(record),
            "level": record.levelname.lower(),
            "logger": record.name,
            "message": record.getMessage(),
        }
        return json.dumps(fields | _subject | _error(record), ensure_ascii=False)


class TextFormatter(logging.Formatter):
    """For people: time, level, message, and the subject in brackets."""

    def format(self, record: logging.LogRecord) -> str:
        about = f" [{_subject['namespace']}/{_subject['name']} {_subject['uid']}]" if _subject else ""
        error = "".join(f"\n{text}" for text in _error(record).values())
        return f"{_time(record)} {record.levelname:<7} {record.getMessage()}{about}{error}"


def _time(record: logging.LogRecord) -> str:
    moment = datetime.datetime.fromtimestamp(record.created, datetime.UTC)
    return moment.isoformat(timespec="milliseconds").replace("+00:00", "Z")


def _error(record: logging.LogRecord) -> dict[str, str]:
    if not record.exc_info or record.exc_info[1] is None:
        return {}
    return {"traceback": traceback_of(record.exc_info[1])}
