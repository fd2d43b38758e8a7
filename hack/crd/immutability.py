"""Generate the CEL rules that refuse a change of the spec, and limit all other rules to its creation.

They are the same for every field and are generated, so that none can be forgotten.
"""

import re
from collections.abc import Mapping
from typing import Any

Schema = dict[str, Any]

RULES = "x-kubernetes-validations"
# The key of a handwritten rule that names the only optional field with which an object keeps it for sure, or NO_FIELD.
HOLDS_WITH_ONLY = "holdsWithOnly"
NO_FIELD = "none"
IMMUTABLE = (
    "a spec is immutable but for suspend, parallelism, shard, failurePolicy, ttlSecondsAfterFinished and deletionPolicy"
)
CHANGED = f"got a change, expected the value at creation; {IMMUTABLE}"
HAS_EARLIER_VALUE = "oldSelf.hasValue()"
# How many fields an object has. To ask for it accesses none of them; dyn() is there since CEL has no size of an object.
SIZE = "dyn(self).size()"
# The optional field that most objects have that have one at all.
USUAL = "key"
AT_CREATION = re.compile(r"oldSelf\.hasValue\(\)( \|\| dyn\(self\)\.size\(\) == \d+( && has\(self\.\w+\))?)* \|\| \(")
# Characters of a text that is shown in a message.
SHORT_CHARACTERS = 1024


def add_rules(spec: Schema, mutable: Mapping[str, bool]) -> None:
    """Add the rules to the schema of the spec and to its fields, except those that are mutable.

    They are evaluated with each status that is written, and each access to a field makes the apiserver copy the schemas of
    all its siblings. A field's own rule accesses nothing, nor does the size of an object, which dyn() lets a rule ask for.
    So each field that has a value before and after is compared by a rule of its own, and an object's rule looks at names
    only where there may be other fields than the required ones and those with a default, which are always there.
    """
    always = len(spec["properties"]) - len(_optional(spec))
    unchanged = f"{SIZE} == {always} && dyn(oldSelf).size() == {always}"
    for name in spec["properties"]:
        if not mutable[name] and name not in _optional(spec):
            _freeze(spec["properties"][name])
    absent = [(name, field) for name, field in _optional(spec).items() if not mutable[name]]
    _add(spec, *(_optional_rule(name, field, unchanged) for name, field in absent))


def at_creation(rule: Schema, schema: Schema) -> Schema:
    """Return the rule of an object or field so that it judges it when it is set, and not again.

    The apiserver evaluates every rule of the spec with each status that is written. A field that has an earlier value has
    been judged, and cannot have changed. So a rule that a later version adds does not keep an older resource from being
    suspended either.

    It does not judge an object whose optional fields are none or only one, where the key `holdsWithOnly` says so.

    Raises:
        ValueError: that key names another field than an optional one.
    """
    optional = _optional(schema)
    if unknown := [name for name in rule.get(HOLDS_WITH_ONLY, ()) if name not in (NO_FIELD, *optional)]:
        raise ValueError(f"got {HOLDS_WITH_ONLY} {', '.join(unknown)}, expected {NO_FIELD} or an optional field")
    always = len(schema.get("properties", ())) - len(optional)
    skipped = [_has_only(name, always) for name in rule.get(HOLDS_WITH_ONLY, ())]
    limited = " || ".join([HAS_EARLIER_VALUE, *skipped, f"({rule['rule']})"])
    kept = {name: value for name, value in rule.items() if name != HOLDS_WITH_ONLY}
    return kept | {"rule": limited, "optionalOldSelf": True}


def _has_only(name: str, always: int) -> str:
    """Return an expression that is true for an object that has only this optional field beside those that all have."""
    return f"{SIZE} == {always}" if name == NO_FIELD else f"{SIZE} == {always + 1} && has(self.{name})"


def written_rule(rule: Mapping[str, Any]) -> str:
    """Return the expression of a rule as it was before `at_creation`."""
    expression: str = rule["rule"]
    limited = AT_CREATION.match(expression)
    return expression[limited.end() :].removesuffix(")") if limited else expression


def _freeze(schema: Schema) -> None:
    """Refuse a change of a value, by rules of its parts if it is an object."""
    if "properties" not in schema:
        _add(schema, {"rule": "self == oldSelf"} | _told_value(schema))
        return
    for field in schema["properties"].values():
        _freeze(field)
    if optional := _optional(schema):
        _add(schema, _same_fields([*optional], len(schema["properties"]) - len(optional)))


def _same_fields(optional: list[str], always: int) -> Schema:
    """Return the rule for an object that no field is added to it or taken away. A rule on that field would not run then."""
    usual = f" || ({_has_only(USUAL, always)} && has(oldSelf.{USUAL}))"
    kept = " && ".join(f"(!has(self.{name}) || has(oldSelf.{name}))" for name in optional)
    same = f"{SIZE} == {always}{usual if USUAL in optional else ''} || ({kept})"
    changed = " + ".join(f"(has(self.{name}) != has(oldSelf.{name}) ? ['{name}'] : [])" for name in optional)
    return {
        "rule": f"{SIZE} == dyn(oldSelf).size() && ({same})",
        "messageExpression": f"'got %s added or taken away, expected the fields at creation; {IMMUTABLE}'.format([{changed}])",
    }


def _optional(schema: Schema) -> dict[str, Schema]:
    """Return the fields that an object of this schema may not have."""
    required = schema.get("required", ())
    return {
        n: field for n, field in schema.get("properties", {}).items() if n not in required and "default" not in field
    }


def _add(schema: Schema, *rules: Schema) -> None:
    schema[RULES] = [*schema.get(RULES, ()), *rules]


def _optional_rule(name: str, field: Schema, unchanged: str) -> Schema:
    """Return the rule for a field of the spec that may be absent, which holds where no optional field is there.

    It is put on the spec, because a rule on a field does not run when the field is added or taken away.
    """
    shown = ", ".join(f"(has({it}.{name}) ? '%s'.format([{it}.{name}]) : 'none')" for it in ("self", "oldSelf"))
    told = f"'got %s, expected %s as at creation; {IMMUTABLE}'.format([{shown}])"
    return {
        "rule": f"({unchanged}) || ({_same(name, field)})",
        "fieldPath": f".{name}",
        "messageExpression": told,
    }


def _same(name: str, field: Schema) -> str:
    """Return an expression that is true where a field is as before, present or absent.

    The API server estimates what a rule costs. With optional values of texts, which may be long, that would be too much.
    """
    if field["type"] != "string":
        return f"self.?{name} == oldSelf.?{name}"
    return f"has(self.{name}) ? has(oldSelf.{name}) && self.{name} == oldSelf.{name} : !has(oldSelf.{name})"


def _told_value(field: Schema) -> Schema:
    """Return the message for a field, with both values where they are short."""
    kind, items = field.get("type"), field.get("items", {})
    if kind == "array" and "enum" in items:
        got, expected = "self.join(', ')", "oldSelf.join(', ')"
    elif kind in ("integer", "number", "boolean") or (kind == "string" and _may_be_told(field)):
        got, expected = "self", "oldSelf"
    else:
        # With this reason the apiserver does not repeat the value.
        return {"reason": "FieldValueForbidden", "message": CHANGED}
    return {"messageExpression": f"'got %s, expected %s as at creation; {IMMUTABLE}'.format([{got}, {expected}])"}


def _may_be_told(field: Schema) -> bool:
    """Return whether a text is short and no URL, in which somebody may have written a password."""
    rules = [rule["rule"] for rule in field.get(RULES, ())]
    short = "enum" in field or field.get("maxLength", SHORT_CHARACTERS + 1) <= SHORT_CHARACTERS
    return short and not any("https?" in rule for rule in rules)
