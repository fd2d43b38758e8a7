"""RFC 3339 times as Kubernetes writes them: UTC, in whole seconds.

Times of the same form are in order of time if they are sorted as text. A status may hold other forms, so that times are
compared as times.
"""

from datetime import UTC, datetime, timedelta


def parse_time(text: str) -> datetime:
    """Parse a time such as 2026-01-02T03:04:05Z, with or without a fraction of a second. Without a zone it is in UTC.

    Raises:
        ValueError: the text is no time.
    """
    written = text.upper()
    if "T" not in written:
        raise ValueError(f"got {text!r}, expected an RFC 3339 time")
    try:
        time = datetime.fromisoformat(written)
    except ValueError:
        raise ValueError(f"got {text!r}, expected an RFC 3339 time") from None
    if time.tzinfo is None:
        return time.replace(tzinfo=UTC)
    try:
        return time.astimezone(UTC)
    except OverflowError:  # the first or last hours that a datetime can hold, in another zone
        return time.replace(tzinfo=UTC)


def is_time(text: str | None) -> bool:
    """Whether `parse_time` can parse the text."""
    try:
        parse_time(text or "")
    except ValueError:
        return False
    return True


def format_time(time: datetime) -> str:
    """Format a time as metav1.Time does, without the fraction of a second."""
    return time.astimezone(UTC).replace(microsecond=0, tzinfo=None).isoformat() + "Z"


def seconds_between(start: str, end: str | datetime) -> float:
    """The seconds from `start` to `end`; negative if `end` is earlier."""
    last = parse_time(end) if isinstance(end, str) else end
    return (last - parse_time(start)).total_seconds()


def earliest(*times: str) -> str:
    """The earliest of some times."""
    return min(times, key=parse_time)


def latest(*times: str) -> str:
    """The latest of some times."""
    return max(times, key=parse_time)


def server_time(node_time: str | None, created: str, scheduled: str | None, accepted: str | None) -> str | None:
    """When something happened on a node, by the apiserver's clock.

    The node's clock may be wrong, so that only the seconds since `accepted` are taken from it: when the kubelet accepted
    the pod, by the same clock. The apiserver has stamped `scheduled`, when the pod was bound to the node just before, and
    `created`, before which nothing happens. Without a reference the node's time is taken as it is.
    """
    if node_time is None:
        return None
    if scheduled is None or accepted is None:
        return latest(created, node_time)
    elapsed = timedelta(seconds=max(0.0, seconds_between(accepted, node_time)))
    try:
        return latest(created, format_time(parse_time(scheduled) + elapsed))
    except OverflowError:  # a clock that is thousands of years ahead
        return latest(created, scheduled)


def format_duration(seconds: float) -> str:
    """Format a duration for people: 3723.4 becomes 1h02m03s, 63 becomes 1m03s, 3.2 becomes 3s."""
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    if hours:
        return f"{hours}h{minutes:02}m{rest:02}s"
    return f"{minutes}m{rest:02}s" if minutes else f"{rest}s"
