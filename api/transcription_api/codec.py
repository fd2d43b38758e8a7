"""Convert dataclasses with snake_case fields to JSON with camelCase keys, and back.

Errors name the field, the value and what was expected.
"""

import dataclasses
import enum
import functools
import sys
import types
import typing
from collections.abc import Hashable, Mapping
from typing import Any, TypeVar

T = TypeVar("T")

# The types whose values are JSON already, which most values have.
SCALARS = (str, int, float, bool, type(None))
# Words that are written in capitals inside a camelCase key.
CAPITALS = {"url": "URL", "gpu": "GPU"}


class InvalidFieldError(ValueError):
    """A value does not fit its field. `field` is the field's path, as in spec.source.s3.bucket."""

    def __init__(self, field: str, value: object, expected: str) -> None:
        super().__init__(f"{field}: got {_shown(value)}, expected {expected}")
        self.field = field
        self.expected = expected


@functools.cache
def camel(name: str) -> str:
    """Return the JSON key of a field: `endpointURL` for `endpoint_url`."""
    first, *rest = name.split("_")
    return first + "".join(CAPITALS.get(word, word.capitalize()) for word in rest)


def to_json(value: Any) -> Any:
    """Return a value in JSON's own types. A field that is None is left out, so that no null is ever sent to the API server."""
    if type(value) in SCALARS:
        return value
    if (fields := _fields(type(value))) is not None:  # type: ignore[arg-type]  # a class is hashable
        pairs = ((key, getattr(value, name)) for name, key in fields)
        return {key: to_json(item) for key, item in pairs if item is not None}
    if isinstance(value, enum.Enum):
        return value.value
    if isinstance(value, list | tuple):
        return [to_json(item) for item in value]
    if isinstance(value, Mapping):
        return {key: to_json(item) for key, item in value.items()}
    return value


def from_json(cls: type[T], value: object, path: str = "") -> T:
    """Make a dataclass of parsed JSON. `path` is the path of the object, for messages.

    A field that the dataclass does not have is ignored, since a newer version may have written it; `unknown_fields` names
    such fields.

    Raises:
        InvalidFieldError: A field is missing or of another type.
    """
    if not isinstance(value, Mapping):
        raise InvalidFieldError(path or cls.__name__, value, "an object")
    keys = _keys(cls)  # type: ignore[arg-type]  # a class is hashable
    fields = ((*keys[key], key, item) for key, item in value.items() if item is not None and key in keys)
    given = {
        # The path is for messages: most values need none.
        name: item if type(item) is hint else _convert(hint, item, _join(path, key))
        for name, hint, key, item in fields
    }
    for name in _required(cls):  # type: ignore[arg-type]
        if name not in given:
            raise InvalidFieldError(_join(path, camel(name)), None, "a value: the field is required")
    return cls(**given)


def from_json_leniently(cls: type[T], value: object) -> T | None:
    """Make a dataclass of as much of parsed JSON as fits it.

    A field or an item of a list that does not fit its type is left out. Returns None if a required field is missing then,
    or if the value is no object.
    """
    if not isinstance(value, Mapping):
        return None
    keys = _keys(cls)  # type: ignore[arg-type]
    fitting = ((keys[key][0], _convert_leniently(keys[key][1], item)) for key, item in value.items() if key in keys)
    given = {name: item for name, item in fitting if item is not None}
    if any(name not in given for name in _required(cls)):  # type: ignore[arg-type]
        return None
    return cls(**given)


def _convert_leniently(hint: Any, value: Any) -> Any:
    """Return None for what does not fit."""
    kind, inner = _kind(hint)
    if value is None or (kind is _Kind.SCALAR and type(value) is inner):
        return value
    if kind is _Kind.OBJECT:
        return from_json_leniently(inner, value)
    if kind is _Kind.LIST and isinstance(value, list):
        items = (_convert_leniently(inner, item) for item in value)
        return tuple(item for item in items if item is not None)
    try:
        return _convert(hint, value, "")
    except InvalidFieldError:
        return None


def from_json_strictly(cls: type[T], value: object, path: str = "") -> T:
    """Do what `from_json` does, for JSON that a person has written for this very version.

    Raises:
        InvalidFieldError: A field is missing, unknown or of another type.
    """
    for name, item in unknown_fields(cls, value, path).items():
        raise InvalidFieldError(name, item, "no such field")
    return from_json(cls, value, path)


def unknown_fields(cls: Any, value: object, path: str) -> dict[str, Any]:
    """Return the fields that parsed JSON has and the dataclass does not, at every depth: their values by their paths."""
    if not isinstance(value, Mapping):
        return {}
    keys, found = _keys(cls), {}
    for key, item in value.items():
        if key not in keys:
            found[_join(path, key)] = item
        elif isinstance(item, dict | list):
            found.update(_unknown_within(keys[key][1], item, _join(path, key)))
    return found


def _unknown_within(hint: Any, value: Any, path: str) -> dict[str, Any]:
    kind, inner = _kind(hint)
    if kind is _Kind.OBJECT:
        return unknown_fields(inner, value, path)
    if kind is not _Kind.LIST or not isinstance(value, list):
        return {}
    parts = ((index, item) for index, item in enumerate(value) if isinstance(item, dict | list))
    items = (_unknown_within(inner, item, f"{path}[{index}]") for index, item in parts)
    return {name: item for found in items for name, item in found.items()}


def unread_fields(value: Mapping[str, Any], read: Any) -> dict[str, Any]:
    """Return the fields of parsed JSON that the dataclass made of it has not: unknown to this version, or of another type."""
    keys = _keys(type(read))  # type: ignore[arg-type]
    return {key: item for key, item in value.items() if key not in keys or getattr(read, keys[key][0]) is None}


# What is read off a class is kept: the operator parses each spec and status many thousand times.


@functools.cache
def _keys(cls: Hashable) -> dict[str, tuple[str, Any]]:
    """Return each field's name and type by its JSON key."""
    return {camel(name): (name, hint) for name, hint in typing.get_type_hints(cls).items()}


@functools.cache
def _required(cls: Any) -> tuple[str, ...]:
    missing = dataclasses.MISSING
    return tuple(field.name for field in dataclasses.fields(cls) if field.default is field.default_factory is missing)


@functools.cache
def _fields(cls: Any) -> tuple[tuple[str, str], ...] | None:
    """Return the name and the JSON key of each field of a dataclass, and None for another type."""
    if not dataclasses.is_dataclass(cls):
        return None
    return tuple((field.name, camel(field.name)) for field in dataclasses.fields(cls))


def without_none(hint: Any) -> Any:
    """Return the type of a field that may be None without None, and any other type as it is."""
    if typing.get_origin(hint) in (types.UnionType, typing.Union):
        return next(arg for arg in typing.get_args(hint) if arg is not type(None))
    return hint


class _Kind(enum.Enum):
    OBJECT = enum.auto()  # a dataclass
    LIST = enum.auto()  # a tuple, whose items have one type
    MAP = enum.auto()  # Kubernetes' own objects, which are passed on as they are
    CHOICE = enum.auto()  # an enum
    SCALAR = enum.auto()


@functools.cache
def _kind(hint: Hashable) -> tuple[_Kind, Any]:
    """Return the kind of a type, and the type itself without None; of a list that of its items."""
    hint = without_none(hint)
    origin = typing.get_origin(hint)
    if origin is tuple:
        return _Kind.LIST, typing.get_args(hint)[0]
    if origin is dict or hint is dict or hint is Any:
        return _Kind.MAP, hint
    if dataclasses.is_dataclass(hint):
        return _Kind.OBJECT, hint
    return (_Kind.CHOICE if isinstance(hint, type) and issubclass(hint, enum.Enum) else _Kind.SCALAR), hint


def _convert(hint: Any, value: Any, path: str) -> Any:
    kind, inner = _kind(hint)
    if kind is _Kind.SCALAR:
        return _scalar(inner, value, path)
    if kind is _Kind.OBJECT:
        return from_json(inner, value, path)
    if kind is _Kind.LIST:
        return _sequence(inner, value, path)
    return _mapping(inner, value, path) if kind is _Kind.MAP else _member(inner, value, path)


def _sequence(hint: Any, value: Any, path: str) -> tuple[Any, ...]:
    if not isinstance(value, list):
        raise InvalidFieldError(path, value, "a list")
    return tuple(_convert(hint, item, f"{path}[{index}]") for index, item in enumerate(value))


def _mapping(hint: Any, value: Any, path: str) -> Any:
    if hint is not Any and not isinstance(value, dict):
        raise InvalidFieldError(path, value, "an object")
    return value


def _member(hint: type[enum.Enum], value: Any, path: str) -> enum.Enum:
    try:
        return hint(value)
    except ValueError:
        raise InvalidFieldError(path, value, f"one of {', '.join(str(m.value) for m in hint)}") from None


def _scalar(hint: Any, value: Any, path: str) -> Any:
    if hint is float and isinstance(value, int) and not isinstance(value, bool) and abs(value) <= sys.float_info.max:
        return float(value)
    if not isinstance(value, hint) or (isinstance(value, bool) and hint is not bool):
        raise InvalidFieldError(
            path, value, {str: "a string", int: "an integer", float: "a number", bool: "true or false"}[hint]
        )
    return value


def _join(path: str, key: str) -> str:
    return f"{path}.{key}" if path else key


def _shown(value: object) -> str:
    text = repr(value)
    return text if len(text) <= 80 else text[:77] + "..."
