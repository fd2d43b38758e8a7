"""RFC 3339 times as Kubernetes writes them: UTC, in whole seconds. Sorted as text they are in order of time."""

from datetime import UTC, datetime


def parse_time(text: str) -> datetime:
    """Parse a time such as 2026-01-02T03:04:05Z, with or without a fraction of a second."""
    return datetime.fromisoformat(text).astimezone(UTC)


def format_time(time: datetime) -> str:
    """Format a time as metav1.Time does, without the fraction of a second."""
    return time.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def seconds_between(start: str, end: str | datetime) -> float:
    """The seconds from `start` to `end`; negative if `end` is earlier."""
    last = parse_time(end) if isinstance(end, str) else end
    return (last - parse_time(start)).total_seconds()


def format_duration(seconds: float) -> str:
    """Format a duration for people: 3723.4 becomes 1h02m03s, 63 becomes 1m03s, 3.2 becomes 3s."""
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    if hours:
        return f"{hours}h{minutes:02}m{rest:02}s"
    return f"{minutes}m{rest:02}s" if minutes else f"{rest}s"
