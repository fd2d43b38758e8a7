"""What the fields of reports, progress and status may hold: the limits of the CRD's schema of the status, and closer ones.

A field declares its limits in its dataclass, as in

    words: int | None = field(default=None, metadata=COUNT)

A test compares the limits of the status with the schema, so that the apiserver refuses no status for a value.
"""

import dataclasses
import functools
import math
import re
import typing
from collections.abc import Callable, Hashable
from dataclasses import dataclass
from datetime import datetime
from typing import Any, TypeVar

from transcription_api.codec import from_json_leniently, without_none
from transcription_api.options import Bounds

T = TypeVar("T")

# The key of a field's FieldBounds in dataclasses.Field.metadata.
METADATA_KEY = "bounds"
INT32, INT64 = 2**31 - 1, 2**63 - 1
# What the schema's format date-time lets pass. Kubernetes itself writes times in UTC, in whole seconds.
_TIME = re.compile(
    r"[0-9]{4}-[0-9]{2}-[0-9]{2}T[0-9]{2}:[0-9]{2}:[0-9]{2}(\.[0-9]+)?(Z|[+-][0-9]{2}:[0-9]{2})?", re.IGNORECASE
)


@dataclass(frozen=True, kw_only=True)
class FieldBounds(Bounds):
    """The limits of one field.

    Attributes:
        max_items: The limit of a list's length.
        date_time: The text is a time of RFC 3339.
        otherwise: What a text becomes that is none of `choices`, does not match `pattern` or is no time. Without it the
            field counts as absent.
    """

    max_items: int | None = None
    date_time: bool = False
    otherwise: str | None = None


def bounded(**limits: Any) -> dict[str, FieldBounds]:
    """Return metadata for dataclasses.field; `limits` are the attributes of FieldBounds."""
    return {METADATA_KEY: FieldBounds(**limits)}


WORD = bounded(max_length=63)
NAME = bounded(max_length=256)
KEY = bounded(max_length=1024)
TIME = bounded(date_time=True)
COUNT = bounded(minimum=0, maximum=INT64)
SMALL_COUNT = bounded(minimum=0, maximum=INT32)
SECONDS = bounded(minimum=0, maximum=INT32)  # 68 years
FRACTION = bounded(minimum=0, maximum=1)


def bounds_of(declared: "dataclasses.Field[Any]") -> FieldBounds:
    """Return the limits of a dataclass field; FieldBounds() if it declares none."""
    found: FieldBounds = declared.metadata.get(METADATA_KEY, FieldBounds())
    return found


def read_leniently(cls: type[T], value: object) -> T | None:
    """Make a dataclass of parsed JSON that another version or an untrusted program wrote.

    A field whose value does not fit its type or its limits counts as absent, and a field that the dataclass does not have
    is ignored. Returns None if a required field is absent, or if the value is no object.
    """
    read = from_json_leniently(cls, value)
    return None if read is None else within_bounds(read)


def within_bounds(value: T) -> T | None:
    """Return a dataclass with each field inside its limits: the same object if nothing has to change.

    A text that is too long is cut, and so is a list. A number outside its limits, or that is not finite, counts as absent.
    Returns None if a required field is absent then; in a list such an item is left out.
    """
    changes: dict[str, Any] = {}
    for name, default, check in _checks(type(value)):  # type: ignore[arg-type]  # a class is hashable
        old = getattr(value, name)
        if old is None:
            continue
        new = check(old)
        if new is old:
            continue
        if new is None and default is dataclasses.MISSING:
            return None
        changes[name] = default if new is None else new
    return dataclasses.replace(value, **changes) if changes else value  # type: ignore[type-var]


Check = Callable[[Any], Any]


@functools.cache
def _checks(cls: Hashable) -> tuple[tuple[str, Any, Check], ...]:
    """Return the name, the default and the check of each field that can be outside its limits."""
    hints = typing.get_type_hints(cls)
    fields = dataclasses.fields(cls)  # type: ignore[arg-type]
    checks = ((item, _check(without_none(hints[item.name]), bounds_of(item))) for item in fields)
    return tuple((item.name, item.default, check) for item, check in checks if check is not None)


def _check(hint: Any, bounds: FieldBounds) -> Check | None:
    """Return a function that makes of a field's value one inside the limits, or None where there is none."""
    if typing.get_origin(hint) is tuple:
        return functools.partial(_list_within, _check(typing.get_args(hint)[0], bounds), bounds.max_items)
    if dataclasses.is_dataclass(hint):
        return within_bounds
    if hint is str:
        return functools.partial(_text_within, bounds, re.compile(bounds.pattern or ""))
    if hint is int or hint is float:
        low = -math.inf if bounds.minimum is None else bounds.minimum
        high = math.inf if bounds.maximum is None else bounds.maximum
        return functools.partial(_number_within, low, high)
    return None


def _list_within(check: Check | None, max_items: int | None, items: tuple[Any, ...]) -> tuple[Any, ...]:
    if check is not None:
        checked = [new for item in items if (new := check(item)) is not None]
        if len(checked) != len(items) or any(new is not old for new, old in zip(checked, items, strict=True)):
            items = tuple(checked)
    return items if max_items is None or len(items) <= max_items else items[:max_items]


def _number_within(low: float, high: float, number: float) -> float | None:
    return number if low <= number <= high and math.isfinite(number) else None


def _text_within(bounds: FieldBounds, pattern: re.Pattern[str], text: str) -> str | None:
    if bounds.date_time:
        return text if _is_time(text) else bounds.otherwise
    if bounds.choices and text not in bounds.choices:
        return bounds.otherwise
    limit = bounds.max_length
    if bounds.pattern is not None and not pattern.fullmatch(text):
        return bounds.otherwise
    return text if limit is None or len(text) <= limit else _cut(text, limit, bounds)


def _cut(text: str, limit: int, bounds: FieldBounds) -> str | None:
    """A text that must match a pattern is no longer the same one without its end."""
    return bounds.otherwise if bounds.pattern is not None else text[: limit - 1] + "…"


def _is_time(text: str) -> bool:
    if _TIME.fullmatch(text) is None:
        return False
    try:
        datetime.fromisoformat(text.upper())
    except ValueError:
        return False
    return True
