"""Generate the CEL rules that refuse a change of the spec, and limit all other rules to its creation.

They are the same for every field and are generated, so that none can be forgotten.
"""

from collections.abc import Mapping
from typing import Any

Schema = dict[str, Any]

RULES = "x-kubernetes-validations"
IMMUTABLE = (
    "a spec is immutable but for suspend, parallelism, shard, failurePolicy, ttlSecondsAfterFinished and deletionPolicy"
)
HAS_EARLIER_VALUE = "oldSelf.hasValue()"
# The apiserver compares an object of n fields in n * n steps, with each status that is written. A larger object is
# compared field by field.
LARGEST_OBJECT_COMPARED = 10


def add_rules(spec: Schema, mutable: Mapping[str, bool]) -> None:
    """Add the rules to the schema of the spec and to its fields, except those that are mutable."""
    absent = []
    for name, field in spec["properties"].items():
        if mutable[name]:
            continue
        if name not in spec["required"] and "default" not in field:
            absent.append(_optional_rule(name, field))
        elif len(field.get("properties", ())) > LARGEST_OBJECT_COMPARED:
            _add_to_parts(field)
        else:
            _add(field, {"rule": "self == oldSelf"} | _told_value(field))
    _add(spec, *absent)


def at_creation(rule: Schema) -> Schema:
    """Return the rule so that it judges a field when it is set, and not again.

    The apiserver evaluates every rule of the spec with each status that is written. A field that has an earlier value has
    been judged, and cannot have changed. So a rule that a later version adds does not keep an older resource from being
    suspended either.
    """
    return rule | {"rule": f"{HAS_EARLIER_VALUE} || ({rule['rule']})", "optionalOldSelf": True}


def written_rule(rule: Mapping[str, Any]) -> str:
    """Return the expression of a rule as it was before `at_creation`."""
    expression: str = rule["rule"]
    limited = expression.startswith(HAS_EARLIER_VALUE)
    return expression.removeprefix(f"{HAS_EARLIER_VALUE} || (").removesuffix(")") if limited else expression


def _add_to_parts(schema: Schema) -> None:
    """Add one rule to each field that has a default, and one to the object for all that may be absent."""
    for field in schema["properties"].values():
        if "default" in field:
            _add(field, {"rule": "self == oldSelf"} | _message())
    absent = {name: field for name, field in schema["properties"].items() if "default" not in field}
    texts = [f"({_same(name, field)})" for name, field in absent.items() if field["type"] == "string"]
    others = [_same(name, field) for name, field in absent.items() if field["type"] != "string"]
    _add(schema, {"rule": " && ".join([*others, *texts])} | _message())


def _add(schema: Schema, *rules: Schema) -> None:
    schema[RULES] = [*schema.get(RULES, ()), *rules]


def _optional_rule(name: str, field: Schema) -> Schema:
    """Return the rule for a field of the spec that may be absent.

    It is put on the spec, because a rule on a field does not run when the field is added or taken away.
    """
    shown = ", ".join(f"(has({it}.{name}) ? '%s'.format([{it}.{name}]) : 'none')" for it in ("self", "oldSelf"))
    told = f"'got %s, expected %s as at creation; {IMMUTABLE}'.format([{shown}])"
    return {"rule": _same(name, field), "fieldPath": f".{name}", "messageExpression": told}


def _same(name: str, field: Schema) -> str:
    """Return an expression that is true where a field is as before, present or absent.

    The API server estimates what a rule costs. With optional values of texts, which may be long, that would be too much.
    """
    if field["type"] != "string":
        return f"self.?{name} == oldSelf.?{name}"
    return f"has(self.{name}) ? has(oldSelf.{name}) && self.{name} == oldSelf.{name} : !has(oldSelf.{name})"


def _told_value(field: Schema) -> Schema:
    """Return the message for a field of the spec itself, with both values where they are short."""
    if field["type"] == "integer":
        return {"messageExpression": f"'got %d, expected %d as at creation; {IMMUTABLE}'.format([self, oldSelf])"}
    if field["type"] not in ("string", "array"):
        return _message()
    got, expected = ("self", "oldSelf") if field["type"] == "string" else ("self.join(', ')", "oldSelf.join(', ')")
    return {"messageExpression": f"'got ' + {got} + ', expected ' + {expected} + ' as at creation; {IMMUTABLE}'"}


def _message() -> Schema:
    return {"message": f"got a change, expected the value at creation; {IMMUTABLE}"}
