"""RFC 3339 times as Kubernetes writes them: UTC, whole seconds. As text they sort like the times they stand for."""

from datetime import UTC, datetime


def parse_time(text: str) -> datetime:
    """2026-01-02T03:04:05Z, with or without a fraction."""
    return datetime.fromisoformat(text).astimezone(UTC)


def format_time(time: datetime) -> str:
    """Whole seconds, as metav1.Time."""
    return time.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def seconds_between(start: str, end: str | datetime) -> float:
    """`end` - `start`, in seconds."""
    last = parse_time(end) if isinstance(end, str) else end
    return (last - parse_time(start)).total_seconds()
