"""Log lines as JSON or text, with the namespace, name and uid of the resource that is being reconciled."""

import json
import logging
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from datetime import UTC, datetime

from transcription_api.log_lines import one_line

from transcription_operator.models.objects import Key, Resource

_resource: ContextVar[dict[str, str]] = ContextVar("resource")


@contextmanager
def log_context(key: Key, resource: Resource | None) -> Iterator[None]:
    """Add this resource to every line that is logged inside the context."""
    named = {"namespace": key.namespace, "name": key.name}
    token = _resource.set(named | ({"uid": resource.uid} if resource is not None else {}))
    try:
        yield
    finally:
        _resource.reset(token)


class JsonFormatter(logging.Formatter):
    """Write one JSON object a line: time (RFC 3339, UTC), level, logger, message, the resource, and a traceback."""

    def format(self, record: logging.LogRecord) -> str:
        line = {
            "time": _format_time(record),
            "level": record.levelname,
            "logger": record.name,
            "message": one_line(record.getMessage()),
            **_resource.get({}),
        }
        if record.exc_info:
            line["traceback"] = self.formatException(record.exc_info)
        return json.dumps(line, ensure_ascii=False, allow_nan=False)


class TextFormatter(logging.Formatter):
    """Write text for people, with the resource before the message."""

    def __init__(self) -> None:
        super().__init__("%(asctime)s %(levelname)-7s %(resource)s%(message)s")

    def format(self, record: logging.LogRecord) -> str:
        named = _resource.get({})
        record.resource = f"[{named['namespace']}/{named['name']}] " if named else ""
        return super().format(record)

    def formatMessage(self, record: logging.LogRecord) -> str:  # noqa: N802 - the name of the base class
        """Format the line without a traceback."""
        record.message = one_line(record.message)
        return super().formatMessage(record)


def _format_time(record: logging.LogRecord) -> str:
    time = datetime.fromtimestamp(record.created, UTC).isoformat(timespec="milliseconds")
    return time.replace("+00:00", "Z")


def configure_logs(log_format: str, level: str) -> None:
    """Log to standard error. Of Kopf, which logs a line for each event, only warnings and errors are shown."""
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(JsonFormatter() if log_format == "json" else TextFormatter())
    logging.basicConfig(level=level, handlers=[handler], force=True)
    for noisy in ("kopf", "aiohttp.access", "asyncio"):
        logging.getLogger(noisy).setLevel(max(logging.WARNING, logging.getLogger().level))
    # Kopf tells of each try of a request; watch/kopf_session.py does so once.
    logging.getLogger("kopf._cogs").setLevel(logging.CRITICAL)
