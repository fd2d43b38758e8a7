"""Generate docs/reference.md from the CRD's schema."""

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import yaml
from transcription_api.spec import EXTENDED_RESOURCE, MEMORY

from hack.crd import immutability

REFERENCE = Path(__file__).parents[2] / "docs/reference.md"

Schema = Mapping[str, Any]

# Said once, in the introduction.
IMMUTABLE = "oldSelf"
# Enumerations longer than this are shown below the table.
INLINE_CHOICES = 20
# Bounds of one value, lower and upper, and what is counted.
BOUNDS = (
    ("minimum", "maximum", ""),
    ("minLength", "maxLength", " characters"),
    ("minItems", "maxItems", " items"),
    ("minProperties", "maxProperties", " entries"),
)
# Patterns that have a name.
LABEL = r"[a-z0-9]([-a-z0-9]*[a-z0-9])?"
PATTERNS = {
    f"^{LABEL}$": "A DNS label.",
    rf"^{LABEL}(\.{LABEL})*$": "A DNS subdomain.",
    EXTENDED_RESOURCE: "A DNS subdomain, a slash and a name.",
    MEMORY: "An amount of bytes, as in 24G or 16Gi.",
}


def render_reference(crd: Schema) -> str:
    """Return the whole page."""
    version = crd["spec"]["versions"][0]
    schema = version["schema"]["openAPIV3Schema"]
    parts = [_introduction(crd, schema), _columns(version)]
    parts += [_section(path, found) for top in ("spec", "status") for path, found in _objects(top, schema)]
    return "\n\n".join(parts) + "\n"


def _introduction(crd: Schema, schema: Schema) -> str:
    names = crd["spec"]["names"]
    return f"""<!-- Generated from crds/ by `make docs`. -->
# Reference

{schema["description"]}

- apiVersion: `{crd["spec"]["group"]}/{crd["spec"]["versions"][0]["name"]}`
- kind: `{names["kind"]}`, in a namespace
- kubectl: `{names["plural"]}`, `{names["singular"]}` or `{"`, `".join(names["shortNames"])}`

A spec is immutable but for the fields that say Mutable. Bold fields are required. Rules between fields are
in the language of the API server, CEL."""


def _columns(version: Schema) -> str:
    rows = [
        f"| {column['name']} | `{column['jsonPath']}` | {'wide' if column.get('priority') else 'always'} |"
        for column in version["additionalPrinterColumns"]
    ]
    selectable = ", ".join(f"`{field['jsonPath'].removeprefix('.')}`" for field in version["selectableFields"])
    table = "\n".join(["| Column | Field | Shown |", "| --- | --- | --- |", *rows])
    return f"## kubectl get\n\n{table}\n\nField selectors: {selectable}."


def _objects(name: str, parent: Schema, path: str = "") -> Iterator[tuple[str, Schema]]:
    """Return the object `name` and all below it, with their paths."""
    schema = parent["properties"][name]
    path = f"{path}.{name}" if path else name
    inner = schema.get("items", schema)
    if "properties" not in inner:
        return
    yield path + ("[]" if inner is not schema else ""), schema
    for child in inner["properties"]:
        yield from _objects(child, inner, path + ("[]" if inner is not schema else ""))


def _section(path: str, schema: Schema) -> str:
    inner = schema.get("items", schema)
    level = "##" if "." not in path else "###"
    required = inner.get("required", ())
    rows = [_row(name, field, name in required) for name, field in inner["properties"].items()]
    table = ["| Field | Type | Default | Meaning |", "| --- | --- | --- | --- |", *rows]
    parts = [f"{level} {path}", schema["description"], "\n".join(table)]
    parts += [_choices(name, field) for name, field in inner["properties"].items() if _is_long(field)]
    # A list's own rules and its items'.
    told = [
        *(schema.get("x-kubernetes-validations", ()) if inner is not schema else ()),
        *inner.get("x-kubernetes-validations", ()),
    ]
    rules = [f"- `{rule}`" for rule in map(immutability.written_rule, told) if IMMUTABLE not in rule]
    return "\n\n".join([*parts, *(["Rules:\n\n" + "\n".join(rules)] if rules else [])])


def _row(name: str, field: Schema, required: bool) -> str:
    shown = f"**{name}**" if required else name
    default = f"`{_json(field['default'])}`" if "default" in field and not _has_fields(field) else ""
    meaning = " ".join([field["description"], *_limits(field)])
    return f"| {shown} | {_kind(field)} | {default} | {meaning} |".replace("  ", " ")


def _limits(field: Schema) -> Iterator[str]:
    for low, high, what in BOUNDS:
        if low in field or high in field:
            yield _range(field.get(low), field.get(high), what)
    choices = field.get("items", field).get("enum")
    if choices and len(choices) <= INLINE_CHOICES:
        yield "One of " + ", ".join(f"`{choice}`" for choice in choices) + "."
    if "pattern" in field:
        yield PATTERNS.get(field["pattern"]) or f"Matches `{_escaped(field['pattern'])}`."
    for rule in map(immutability.written_rule, field.get("x-kubernetes-validations", ())):
        if IMMUTABLE not in rule and not _has_fields(field):
            yield f"Rule: `{_escaped(rule)}`."


def _range(low: float | None, high: float | None, what: str) -> str:
    if low == high:
        return f"{low:,}{what}."
    if low is not None and high is not None:
        return f"{low:,} to {high:,}{what}."
    return f"At most {high:,}{what}." if low is None else f"At least {low:,}{what}."


def _kind(field: Schema) -> str:
    if "x-kubernetes-int-or-string" in field:
        return "integer or string"
    if field["type"] == "array":
        return f"list of {_kind(field['items'])}s"
    if isinstance(values := field.get("additionalProperties"), Mapping):
        return "map of quantities" if "x-kubernetes-int-or-string" in values else f"map of {values['type']}s"
    return "time" if field.get("format") == "date-time" else str(field["type"])


def _choices(name: str, field: Schema) -> str:
    return f"`{name}` is one of {' '.join(field['enum'])}."


def _is_long(field: Schema) -> bool:
    return len(field.get("enum", ())) > INLINE_CHOICES


def _has_fields(field: Schema) -> bool:
    return "properties" in field.get("items", field)


def _json(value: object) -> str:
    text = yaml.safe_dump(value, default_flow_style=True, width=1000).removesuffix("...\n").strip()
    return text or '""'


def _escaped(text: str) -> str:
    return text.replace("|", "\\|")
