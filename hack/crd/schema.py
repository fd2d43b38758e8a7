"""Generate the OpenAPI schema of the spec from the types, defaults and options of its dataclasses."""

import dataclasses
import enum
import typing
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from transcription_api.codec import camel, to_json, without_none
from transcription_api.options import Bounds, Option, option_of
from transcription_api.spec import Destination, Source, Spec

from hack.crd import immutability

Schema = dict[str, Any]

DESCRIPTION = (
    "What to transcribe, how, and where to write it. Immutable but for suspend, parallelism, shard, failurePolicy, "
    "ttlSecondsAfterFinished and deletionPolicy."
)
TYPES = {str: "string", int: "integer", float: "number", bool: "boolean"}
# In these a rule says which member is required, so that members can be added.
UNIONS = (Source, Destination)
KEYWORDS = {
    "min_length": "minLength",
    "max_length": "maxLength",
    "pattern": "pattern",
    "minimum": "minimum",
    "maximum": "maximum",
    "min_items": "minItems",
    "max_items": "maxItems",
    "max_properties": "maxProperties",
}


@dataclass(frozen=True)
class Handwritten:
    """The parts that are not in the dataclasses, by the field's path: CEL rules, and schemas of Kubernetes' own types."""

    rules: Mapping[str, list[Schema]]
    kubernetes: Mapping[str, Schema]


def spec_schema(rules: Mapping[str, list[Schema]], kubernetes: Mapping[str, Schema]) -> Schema:
    """Return the schema of .spec.

    Raises:
        ValueError: A path of the handwritten files leads to no field.
    """
    handwritten = Handwritten(rules, kubernetes)
    schema = {"description": DESCRIPTION} | _object(Spec, "spec", handwritten, {})
    immutability.add_rules(schema, {camel(field.name): option_of(field).mutable for field in dataclasses.fields(Spec)})
    unused = (set(rules) | set(kubernetes)) - set(_paths(schema, "spec"))
    if unused:
        raise ValueError(f"hack/crd: got rules or schemas of {sorted(unused)}, expected paths of fields")
    return schema


def _object(cls: Any, path: str, handwritten: Handwritten, part_help: Mapping[str, str]) -> Schema:
    hints, fields = typing.get_type_hints(cls), dataclasses.fields(cls)
    required = [camel(field.name) for field in fields if _default(field) is dataclasses.MISSING]
    properties = {}
    for field in fields:
        option, name = option_of(field), camel(field.name)
        if field.name in part_help:
            option = dataclasses.replace(option, help=part_help[field.name])
        properties[name] = _field(field, option, hints[field.name], f"{path}.{name}", handwritten)
    schema: Schema = {"type": "object"}
    if required and cls not in UNIONS:
        schema["required"] = required
    schema |= {"properties": properties}
    return schema | _rules(path, schema, handwritten)


def _field(field: "dataclasses.Field[Any]", option: Option, hint: Any, path: str, handwritten: Handwritten) -> Schema:
    default = None if option.implicit else _stored(_default(field))
    value = _value(without_none(hint), option, path, handwritten)
    # The default stands before what may be long.
    head = {key: value.pop(key) for key in ("type", "format", "x-kubernetes-list-type") if key in value}
    told = {} if default is None else {"default": default}
    return {"description": option.help} | head | told | value


def _value(hint: Any, option: Option, path: str, handwritten: Handwritten) -> Schema:
    origin = typing.get_origin(hint)
    if path in handwritten.kubernetes:
        return dict(handwritten.kubernetes[path])
    if dataclasses.is_dataclass(hint):
        return _object(hint, path, handwritten, option.part_help)
    if origin is tuple:
        return _list(typing.get_args(hint)[0], option, path, handwritten)
    if origin is dict:
        values = _single(typing.get_args(hint)[1], option.items or Bounds())
        return {"type": "object"} | _keywords(option) | {"additionalProperties": values}
    return _single(hint, option) | _rules(path, {}, handwritten)


def _list(hint: Any, option: Option, path: str, handwritten: Handwritten) -> Schema:
    inner = f"{path}[]"
    if inner in handwritten.kubernetes:
        items = handwritten.kubernetes[inner]
    elif dataclasses.is_dataclass(hint):
        items = _object(hint, inner, handwritten, {})
    else:
        items = _single(hint, option.items or Bounds())
    kind = {"type": "array", "x-kubernetes-list-type": "set" if option.unique_items else "atomic"}
    return kind | _keywords(option) | {"items": items} | _rules(path, {}, handwritten)


def _single(hint: Any, bounds: Bounds) -> Schema:
    """Return the schema of one text, number or truth value."""
    if isinstance(hint, type) and issubclass(hint, enum.Enum):
        return {"type": "string"} | _keywords(bounds) | {"enum": [member.value for member in hint]}
    schema = {"type": TYPES[hint]}
    if hint is int:
        schema["format"] = "int64" if isinstance(bounds, Option) and bounds.int64 else "int32"
    choices = {"enum": list(bounds.choices)} if bounds.choices else {}
    return schema | _keywords(bounds) | choices


def _keywords(bounds: Bounds) -> Schema:
    found = {keyword: getattr(bounds, name, None) for name, keyword in KEYWORDS.items()}
    return {keyword: value for keyword, value in found.items() if value is not None}


def _rules(path: str, schema: Schema, handwritten: Handwritten) -> Schema:
    """Return the handwritten rules of a schema. Items of lists have no earlier value, so that only rules of fields are limited."""
    if path not in handwritten.rules:
        return {}
    rules = handwritten.rules[path]
    return {
        immutability.RULES: [*rules] if "[]" in path else [immutability.at_creation(rule, schema) for rule in rules]
    }


def _default(field: "dataclasses.Field[Any]") -> Any:
    return field.default if field.default_factory is dataclasses.MISSING else field.default_factory()


def _stored(default: Any) -> Any:
    """Return the default in JSON. It is None for a field that the resource leaves out, as it does empty lists and maps."""
    if default in (dataclasses.MISSING, None, (), {}):
        return None
    return _shortened(to_json(default))


def _shortened(value: Any) -> Any:
    """Return the value with whole numbers as integers, and without empty lists and maps in an object."""
    if isinstance(value, dict):
        return {key: _shortened(item) for key, item in value.items() if item not in ([], {})}
    if isinstance(value, list):
        return [_shortened(item) for item in value]
    return int(value) if isinstance(value, float) and value.is_integer() else value


def _paths(schema: Schema, path: str) -> typing.Iterator[str]:
    yield path
    for name, field in schema.get("properties", {}).items():
        yield from _paths(field, f"{path}.{name}")
    if "items" in schema:
        yield from _paths(schema["items"], f"{path}[]")
