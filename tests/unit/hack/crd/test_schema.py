"""The CRD in crds/ is the one that is generated from the spec's dataclasses."""

import dataclasses
from typing import Any

import pytest
import yaml
from transcription_api.codec import camel
from transcription_api.options import option_of
from transcription_api.spec import DevicePolicy, Spec

from hack.crd import immutability
from hack.crd.definition import CRD, HEADER, render_crd
from hack.crd.schema import spec_schema
from tests.support.repository import read_crd


def generated(rules: dict[str, Any] | None = None) -> dict[str, Any]:
    paths = ("spec.device.tolerations[]", "spec.device.resources", "spec.failurePolicy.maxFailedFiles")
    kubernetes = {path: {"type": "object"} for path in paths}
    properties: dict[str, Any] = spec_schema(rules or {}, kubernetes)["properties"]
    return properties


def test_the_crd_is_as_make_crds_writes_it() -> None:
    assert CRD.read_text() == render_crd()


def test_the_crd_says_that_it_is_generated_and_has_no_anchors() -> None:
    assert render_crd().startswith(HEADER)
    assert [token for token in yaml.scan(render_crd()) if isinstance(token, yaml.AnchorToken | yaml.AliasToken)] == []


def test_a_number_has_the_bounds_the_default_and_the_help_of_its_field() -> None:
    beams = generated()["decoding"]["properties"]["beamSize"]
    del beams[immutability.RULES]
    assert beams == {
        "description": "Number of beams at temperature 0. Without it 5.",
        "type": "integer",
        "format": "int32",
        "minimum": 1,
        "maximum": 50,
    }


def test_an_enum_has_its_members_as_choices() -> None:
    policy = generated()["device"]["properties"]["policy"]
    assert (policy["type"], policy["default"]) == ("string", "RequireGPU")
    assert policy["enum"] == [member.value for member in DevicePolicy]


def test_the_items_of_a_list_have_bounds_of_their_own() -> None:
    tokens = generated()["decoding"]["properties"]["suppressTokens"]
    assert tokens["items"] == {"type": "integer", "format": "int32", "minimum": -1, "maximum": 51865}
    assert (tokens["maxItems"], tokens["x-kubernetes-list-type"], tokens["default"]) == (256, "set", [-1])


def test_a_part_that_is_used_twice_may_be_described_at_each_place() -> None:
    fields = generated()
    source = fields["source"]["properties"]["s3"]["properties"]["key"]
    model = fields["model"]["properties"]["s3"]["properties"]["key"]
    assert source["description"].startswith("The audio object's key")
    assert model["description"].startswith("The checkpoint's key")
    assert {**source, "description": ""} == {**model, "description": ""}


def test_a_handwritten_rule_comes_before_the_generated_one() -> None:
    rule = {"rule": "self != ''", "message": "got nothing, expected something"}
    rules = generated({"spec.task": [rule]})["task"][immutability.RULES]
    assert rules[0]["message"] == rule["message"]
    assert rules[1]["rule"] == "self == oldSelf"


def test_a_handwritten_rule_is_evaluated_when_its_field_is_set_and_not_with_each_status() -> None:
    rule = {"rule": "self == 'a' || self == 'b'", "message": "got neither, expected one of the two"}
    (found, *_) = generated({"spec.task": [rule]})["task"][immutability.RULES]
    assert found["rule"] == "oldSelf.hasValue() || (self == 'a' || self == 'b')"
    assert found["optionalOldSelf"] is True


def test_a_handwritten_rule_of_the_items_of_a_list_has_no_earlier_value() -> None:
    rule = {"rule": "self.start < self.end", "message": "got an early end, expected a later one"}
    items = generated({"spec.audio.clips[]": [rule]})["audio"]["properties"]["clips"]["items"]
    assert items[immutability.RULES] == [rule]


def test_no_handwritten_rule_is_about_a_field_that_may_change() -> None:
    """It would not be evaluated again when that field changes."""
    spec = read_crd()["spec"]["versions"][0]["schema"]["openAPIV3Schema"]["properties"]["spec"]
    rules = [immutability.written_rule(rule) for rule in spec[immutability.RULES]]
    mutable = [camel(field.name) for field in dataclasses.fields(Spec) if option_of(field).mutable]
    assert {"suspend", "ttlSecondsAfterFinished"} <= {*mutable}
    assert [rule for rule in rules for name in mutable if f"self.{name}" in rule] == []
    assert [name for name in mutable if immutability.RULES in spec["properties"][name]] == []


def test_a_handwritten_rule_of_no_field_is_refused() -> None:
    with pytest.raises(ValueError, match=r"got rules or schemas of \['spec\.tusk'\], expected paths of fields"):
        generated({"spec.tusk": []})


def test_a_mutable_field_has_no_rule_against_changes() -> None:
    fields = generated()
    assert immutability.RULES not in fields["suspend"]
    assert immutability.RULES in fields["retries"]


def test_each_value_is_compared_by_a_rule_of_its_own_and_told_if_it_is_short() -> None:
    decoding = generated()["decoding"]["properties"]
    (precision,) = decoding["precision"][immutability.RULES]
    assert precision["rule"] == "self == oldSelf"
    told = f"'got %s, expected %s as at creation; {immutability.IMMUTABLE}'.format([self, oldSelf])"
    assert precision["messageExpression"] == told
    (prompt,) = decoding["initialPrompt"][immutability.RULES]
    assert prompt == {"rule": "self == oldSelf", "reason": "FieldValueForbidden", "message": immutability.CHANGED}


def test_no_refusal_of_a_change_repeats_a_url_in_which_there_may_be_a_password() -> None:
    spec = read_crd()["spec"]["versions"][0]["schema"]["openAPIV3Schema"]["properties"]["spec"]["properties"]
    for holder in (spec["source"], spec["destination"], spec["model"]):
        rule = holder["properties"]["s3"]["properties"]["endpointURL"][immutability.RULES][-1]
        assert rule == {"rule": "self == oldSelf", "reason": "FieldValueForbidden", "message": immutability.CHANGED}


def test_names_of_fields_are_compared_only_where_an_object_has_optional_ones() -> None:
    """To look at a name costs the apiserver a copy of the schemas of all its siblings, with each status."""
    (rule,) = generated()["subtitles"][immutability.RULES]
    kept = [
        f"(!has(self.{name}) || has(oldSelf.{name}))" for name in ("maxLineWidth", "maxLineCount", "maxWordsPerLine")
    ]
    same_size = "dyn(self).size() == dyn(oldSelf).size()"
    assert rule["rule"] == f"{same_size} && (dyn(self).size() == 1 || ({' && '.join(kept)}))"


def test_an_object_whose_fields_are_always_there_has_no_rule_about_their_names() -> None:
    assert immutability.RULES not in generated()["quality"]


def test_a_handwritten_rule_is_not_evaluated_for_an_object_with_which_it_says_to_hold() -> None:
    rule = {"rule": "has(self.prefix)", "message": "got none, expected one", "holdsWithOnly": ["none", "key"]}
    (found, *_) = generated({"spec.source.s3": [rule]})["source"]["properties"]["s3"][immutability.RULES]
    assert found == {
        "rule": "oldSelf.hasValue() || dyn(self).size() == 2 || dyn(self).size() == 3 && has(self.key) || "
        "(has(self.prefix))",
        "message": "got none, expected one",
        "optionalOldSelf": True,
    }
    assert immutability.written_rule(found) == "has(self.prefix)"


def test_a_handwritten_rule_holds_with_optional_fields_of_its_object_alone() -> None:
    rule = {"rule": "true", "message": "got one, expected none", "holdsWithOnly": ["bucket"]}
    with pytest.raises(ValueError, match="got holdsWithOnly bucket, expected none or an optional field"):
        generated({"spec.source.s3": [rule]})
