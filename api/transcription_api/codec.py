"""Convert dataclasses with snake_case fields to JSON with camelCase keys, and back.

Errors name the field, the value and what was expected.
"""

import dataclasses
import enum
import functools
import types
import typing
from collections.abc import Hashable, Mapping
from typing import Any, TypeVar

T = TypeVar("T")

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
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        pairs = ((key, getattr(value, name)) for name, key in _fields(type(value)))
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

    Raises:
        InvalidFieldError: A field is missing, unknown or of another type.
    """
    if not isinstance(value, Mapping):
        raise InvalidFieldError(path or cls.__name__, value, "an object")
    keys = _keys(cls)  # type: ignore[arg-type]  # a class is hashable
    for key in value:
        if key not in keys:
            raise InvalidFieldError(_join(path, key), value[key], f"no such field; one of {', '.join(sorted(keys))}")
    given = {
        keys[key][0]: _convert(keys[key][1], item, _join(path, key)) for key, item in value.items() if item is not None
    }
    for name in _required(cls):  # type: ignore[arg-type]
        if name not in given:
            raise InvalidFieldError(_join(path, camel(name)), None, "a value: the field is required")
    return cls(**given)


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
def _fields(cls: Any) -> tuple[tuple[str, str], ...]:
    """Return the name and the JSON key of each field."""
    return tuple((field.name, camel(field.name)) for field in dataclasses.fields(cls))


def without_none(hint: Any) -> Any:
    """Return the type of a field that may be None without None, and any other type as it is."""
    if typing.get_origin(hint) in (types.UnionType, typing.Union):
        return next(arg for arg in typing.get_args(hint) if arg is not type(None))
    return hint


def _convert(hint: Any, value: Any, path: str) -> Any:
    hint = without_none(hint)
    origin = typing.get_origin(hint)
    if origin is tuple:
        return _sequence(typing.get_args(hint)[0], value, path)
    if origin is dict or hint is dict or hint is Any:
        return _mapping(hint, value, path)
    if dataclasses.is_dataclass(hint):
        return from_json(typing.cast(type, hint), value, path)
    if isinstance(hint, type) and issubclass(hint, enum.Enum):
        return _member(hint, value, path)
    return _scalar(hint, value, path)


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
    if hint is float and isinstance(value, int) and not isinstance(value, bool):
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
