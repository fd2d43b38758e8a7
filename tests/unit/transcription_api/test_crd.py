"""The CRD's schema and the shared types say the same."""

import ast
import dataclasses
import enum
import importlib.util
import typing
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest
from transcription_api import languages, names, report
from transcription_api.codec import camel, to_json, without_none
from transcription_api.options import option_of
from transcription_api.spec import Destination, Source, Spec, parse_spec
from transcription_api.status import MAX_RESULTS, ConditionType, Status

from hack.crd.immutability import written_rule
from tests.support.repository import read_crd

Schema = dict[str, Any]

CRD = read_crd()
VERSION = CRD["spec"]["versions"][0]
ROOT = VERSION["schema"]["openAPIV3Schema"]
TYPES = {str: "string", int: "integer", float: "number", bool: "boolean"}
# Unions: which member is required is a rule, so that members can be added.
UNIONS = (Source, Destination)
SMALLEST = {
    "source": {"s3": {"bucket": "audio", "key": "01.wav"}},
    "destination": {"s3": {"bucket": "transcripts"}},
}


def pairs(cls: Any, schema: Schema, path: str) -> Iterator[tuple[str, Any, Schema]]:
    """Return every dataclass reachable from `cls` with the schema of its object."""
    yield path, cls, schema
    for name, hint in typing.get_type_hints(cls).items():
        inner, child = without_none(hint), schema["properties"].get(camel(name), {})
        if typing.get_origin(inner) is tuple:
            inner, child = typing.get_args(inner)[0], child.get("items", {})
        if dataclasses.is_dataclass(inner):
            yield from pairs(inner, child, f"{path}.{camel(name)}")


OF_SPEC = [*pairs(Spec, ROOT["properties"]["spec"], "spec")]
PAIRS = [*OF_SPEC, *pairs(Status, ROOT["properties"]["status"], "status")]
EVERY_OBJECT = pytest.mark.parametrize(("cls", "schema"), [pair[1:] for pair in PAIRS], ids=[pair[0] for pair in PAIRS])


def defaulted(schema: Schema, value: Any) -> Any:
    """Return a value as the apiserver stores it, with defaults at every depth."""
    if isinstance(value, list):
        return [defaulted(schema["items"], item) for item in value]
    if not isinstance(value, Mapping) or "properties" not in schema:
        return value
    filled = dict(value)
    for name, field in schema["properties"].items():
        if name not in filled and "default" in field:
            filled[name] = field["default"]
        if name in filled:
            filled[name] = defaulted(field, filled[name])
    return filled


def stored(default: Any) -> Any:
    """Return the default in JSON, without the maps and lists that the resource leaves out when they are empty."""
    value = to_json(default)
    return {key: item for key, item in value.items() if item not in ([], {})} if isinstance(value, dict) else value


def every_field(schema: Schema, path: str = "") -> Iterator[tuple[str, Schema]]:
    """Return all schemas below this one."""
    yield path, schema
    for name, field in schema.get("properties", {}).items():
        yield from every_field(field, f"{path}.{name}")
    if isinstance(schema.get("items"), dict):
        yield from every_field(schema["items"], f"{path}[]")


@EVERY_OBJECT
def test_the_schema_has_the_fields_of_the_shared_type_and_no_others(cls: Any, schema: Schema) -> None:
    assert sorted(schema["properties"]) == sorted(camel(field.name) for field in dataclasses.fields(cls))


@EVERY_OBJECT
def test_the_schema_requires_what_the_shared_type_requires(cls: Any, schema: Schema) -> None:
    missing = dataclasses.MISSING
    required = [camel(f.name) for f in dataclasses.fields(cls) if f.default is missing and f.default_factory is missing]
    if cls in UNIONS:
        rules = [written_rule(rule) for rule in schema["x-kubernetes-validations"]]
        # What a union chooses between has no default; other fields of it hold whichever is chosen.
        members = ", ".join(f"has(self.{name})" for name in required)
        assert f"[{members}].exists_one(member, member)" in rules
    else:
        assert sorted(schema.get("required", [])) == sorted(required)


@EVERY_OBJECT
def test_the_schema_has_the_types_and_enumerations_of_the_shared_type(cls: Any, schema: Schema) -> None:
    for name, hint in typing.get_type_hints(cls).items():
        field, inner = schema["properties"][camel(name)], without_none(hint)
        if typing.get_origin(inner) is tuple:
            assert field["type"] == "array", name
            inner, field = typing.get_args(inner)[0], field["items"]
        if "x-kubernetes-int-or-string" in field:
            assert inner is Any, name
        elif isinstance(inner, type) and issubclass(inner, enum.Enum):
            assert field["type"] == "string"
            assert field["enum"] == [member.value for member in inner], name
        else:
            assert field["type"] == TYPES.get(inner, "object"), name


@EVERY_OBJECT
def test_the_schema_has_the_defaults_of_the_shared_type(cls: Any, schema: Schema) -> None:
    for field in dataclasses.fields(cls):
        factory = field.default_factory
        default = field.default if factory is dataclasses.MISSING else factory()
        property_ = schema["properties"][camel(field.name)]
        if (
            cls in [pair[1] for pair in OF_SPEC]
            and default is not dataclasses.MISSING
            and default not in (None, (), {})
            and not option_of(field).implicit
        ):
            given = defaulted(property_, property_["default"])
            assert given == stored(default), field.name
        else:
            assert "default" not in property_, field.name


def test_defaults_of_the_apiserver_change_nothing_for_the_worker() -> None:
    assert parse_spec(defaulted(ROOT["properties"]["spec"], SMALLEST)) == parse_spec(SMALLEST)


def test_the_names_are_those_that_operator_and_worker_use() -> None:
    assert CRD["spec"]["group"] == names.GROUP
    assert VERSION["name"] == names.VERSION
    assert CRD["spec"]["names"]["kind"] == names.KIND
    assert CRD["spec"]["names"]["plural"] == names.PLURAL
    assert CRD["metadata"]["name"] == f"{names.PLURAL}.{names.GROUP}"


def test_languages_are_auto_and_those_of_whisper() -> None:
    assert ROOT["properties"]["spec"]["properties"]["language"]["enum"] == ["auto", *languages.CODES]


def test_every_other_choice_of_a_language_is_one_of_whispers() -> None:
    detection = ROOT["properties"]["spec"]["properties"]["languageDetection"]["properties"]
    assert detection["candidates"]["items"]["enum"] == list(languages.CODES)
    assert detection["candidates"]["maxItems"] == len(languages.CODES)
    assert detection["default"]["enum"] == list(languages.CODES)


def test_model_names_are_those_of_openai_whisper() -> None:
    spec = importlib.util.find_spec("whisper")
    assert spec is not None
    assert spec.origin is not None
    # The file is read and not imported, since torch takes seconds to import.
    body = ast.parse(Path(spec.origin).read_text()).body
    models = next(
        node.value for node in body if isinstance(node, ast.Assign) and ast.unparse(node.targets[0]) == "_MODELS"
    )
    known = set(ast.literal_eval(models))
    assert set(ROOT["properties"]["spec"]["properties"]["model"]["properties"]["name"]["enum"]) == known


def test_condition_types_fit_the_schema_and_are_told_in_its_description() -> None:
    field = ROOT["properties"]["status"]["properties"]["conditions"]
    assert field["x-kubernetes-list-map-keys"] == ["type"]
    assert field["maxItems"] >= len(ConditionType)
    for kind in ConditionType:
        assert kind.value in field["description"]


def test_stages_of_progress_are_told_in_the_description() -> None:
    field = ROOT["properties"]["status"]["properties"]["progress"]["properties"]["stage"]
    assert all(stage in field["description"] for stage in report.STAGES)


def test_the_status_has_room_for_every_result_that_a_worker_writes() -> None:
    assert ROOT["properties"]["status"]["properties"]["results"]["maxItems"] == MAX_RESULTS >= report.MAX_OBJECTS


@pytest.mark.parametrize("top", ["spec", "status"])
def test_every_field_has_a_short_plain_description(top: str) -> None:
    for path, field in every_field(ROOT["properties"][top], top):
        if path.endswith("[]"):
            continue
        description = field["description"]
        assert description.endswith("."), path
        assert len(description) <= 260, path
        assert "\n" not in description, path


@pytest.mark.parametrize("top", ["spec", "status"])
def test_every_text_list_and_map_is_bounded(top: str) -> None:
    for path, field in every_field(ROOT["properties"][top], top):
        if "x-kubernetes-int-or-string" in field:
            assert "pattern" in field, path
            continue
        if field["type"] == "string":
            assert {"maxLength", "enum", "format"} & set(field), path
        if field["type"] == "array":
            assert "maxItems" in field, path
            assert "x-kubernetes-list-type" in field, path
        if "additionalProperties" in field:
            assert "maxProperties" in field, path


def test_every_rule_says_what_was_expected() -> None:
    for path, field in every_field(ROOT):
        for rule in field.get("x-kubernetes-validations", ()):
            assert "expected" in rule.get("messageExpression", rule.get("message", "")), (path, rule["rule"])


def is_frozen(field: dict[str, Any]) -> bool:
    """Return whether a change of the field is refused, by a rule of its own or by rules of all its parts."""
    rules = [rule["rule"] for rule in field.get("x-kubernetes-validations", ())]
    return "self == oldSelf" in rules or ("properties" in field and not mutable_parts(field))


def mutable_parts(field: dict[str, Any]) -> list[str]:
    """Return the names of the field's properties that may change, be added or be taken away."""
    return sorted(name for name, part in field["properties"].items() if not is_frozen_part(field, name, part))


def is_frozen_part(field: dict[str, Any], name: str, part: dict[str, Any]) -> bool:
    """Return whether a change of a property is refused: by one rule, or by one for its value and one for its presence."""
    rules = " ".join(rule["rule"] for rule in field.get("x-kubernetes-validations", ()))
    if f"self.?{name} == oldSelf.?{name}" in rules or f"self.{name} == oldSelf.{name} : !has(oldSelf.{name})" in rules:
        return True
    always = name in field.get("required", ()) or "default" in part
    return is_frozen(part) and (always or f"!has(self.{name}) || has(oldSelf.{name})" in rules)


def test_every_part_of_the_spec_but_those_that_say_so_is_immutable() -> None:
    assert mutable_parts(ROOT["properties"]["spec"]) == [
        "deletionPolicy",
        "failurePolicy",
        "parallelism",
        "shard",
        "suspend",
        "ttlSecondsAfterFinished",
    ]


def test_every_column_and_selector_leads_to_a_field() -> None:
    paths = [column["jsonPath"] for column in VERSION["additionalPrinterColumns"]]
    paths += [field["jsonPath"] for field in VERSION["selectableFields"]]
    known = {path for path, _ in every_field(ROOT)} | {".metadata.creationTimestamp"}
    assert set(paths) <= known


def test_columns_come_in_the_promised_order() -> None:
    shown = [column["name"] for column in VERSION["additionalPrinterColumns"] if not column.get("priority")]
    many = ["Files", "Failed", "Progress"]
    assert shown == ["Phase", *many, "Model", "Device", "Language", "Audio duration", "RTFx", "ETA", "Age"]


def test_yaml_keeps_every_enumeration_a_text() -> None:
    """`no` is Norwegian and not false."""
    for path, field in every_field(ROOT):
        assert all(isinstance(choice, str) for choice in field.get("enum", ())), path
