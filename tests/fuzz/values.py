"""Values for a node of the custom resource definition's schema: those that it allows, its boundaries, and others."""

import re
from collections.abc import Iterator
from typing import Any

Schema = dict[str, Any]

# Texts of the forms that the schema's patterns ask for.
_WORDS = (
    *("audio", "a", "abc", "a-b.c", "interviews/01.wav", "https://minio.storage.svc:9000", "eu-west-1", "a" * 64),
    *("example.com/gpu", "4Gi", "1", "500m", "registry.example.com/models/medium:1", "Kestrel, Merlin"),
    *("2026-11-01T00:00:00Z", "24G"),
)
# Texts that some program on the way might expand, cut, decode or print.
HOSTILE = (
    *("", " ", "\x00", "\x1b[2J", "a\nb", "a\r\n2026-01-01 ERROR forged", "\ud800", "\u202egnp.exe", "\ufeff", "\x7f"),
    *("$(HOME)", "$$", "$(TRANSCRIPTION_TASK)", "${HOME}", "{{ .Values.image }}", "{{", "}}", "%s%n", "{0}", "`id`"),
    *(
        "../../etc/passwd",
        "/",
        "//",
        "a/",
        ".",
        "..",
        "-",
        "--help",
        "https://user:password@host",
        "http://",
        "file:///etc",
    ),
    *(
        "é",
        "日本語",
        "🎧",
        "e\u0301",
        "İ",
        "null",
        "true",
        "no",
        "~",
        "1e3",
        "0x10",
        "NaN",
        "'",
        '"',
        "\\",
        "<b>",
        "a" * 100_000,
    ),
)
OTHER_TYPES: tuple[Any, ...] = (None, True, 0, -1, 1.5, "text", [], {}, [None], {"a": None}, [[]])
NUMBERS: tuple[Any, ...] = (
    *(-0.0, 5e-324, 1e308, float("nan"), float("inf"), 2**31 - 1, 2**31, 2**53 + 1, 2**63 - 1, 2**63, 10**400),
)
# Keys of a map of labels or of quantities.
KEYS = (
    *(
        "",
        "a",
        "cpu",
        "memory",
        "nvidia.com/gpu",
        "ephemeral-storage",
        "hugepages-2Mi",
        "kubernetes.io/hostname",
        "pods",
    ),
    *("a/b/c", "-a", "é", "$(HOME)", "{{", "a b", "requests.cpu", "example.com/" + "x" * 64, "a" * 300),
)


def example(schema: Schema) -> Any:
    """Return the smallest value that the schema's types, bounds and patterns allow. Its rules may refuse it."""
    return next(allowed(schema))


def allowed(schema: Schema) -> Iterator[Any]:
    """Yield values that the schema's types, bounds and patterns allow, those at the boundaries among them."""
    if "enum" in schema:
        yield from schema["enum"]
    elif schema.get("x-kubernetes-int-or-string"):
        yield from ("1", 1, "500m", "4Gi", 0, "0.5", "1e3", "16Ei")
    elif schema["type"] == "string":
        yield from _allowed_texts(schema)
    elif schema["type"] in ("integer", "number"):
        yield from _allowed_numbers(schema)
    elif schema["type"] == "boolean":
        yield from (True, False)
    elif schema["type"] == "array":
        yield from _allowed_arrays(schema)
    else:
        yield {name: example(schema["properties"][name]) for name in schema.get("required", ())}


def refused(schema: Schema) -> Iterator[Any]:
    """Yield values beyond the boundaries, of other types, and hostile ones. Some of them may be allowed all the same."""
    yield from OTHER_TYPES
    kind = schema.get("type", "string")
    if kind == "string":
        yield from HOSTILE
        yield from (example(schema) + text for text in ("$$", "{{", "é", "\n"))
        yield "a" * (schema.get("minLength", 1) - 1)
        yield "a" * (schema.get("maxLength", 10_000) + 1)
        yield "é" * schema.get("maxLength", 10_000)
    elif kind in ("integer", "number"):
        yield from NUMBERS
        yield from (schema[bound] + step for bound, step in (("minimum", -1), ("maximum", 1)) if bound in schema)
    elif kind == "array":
        item = example(schema["items"])
        yield from ([item, item], [item] * (schema.get("maxItems", 10) + 1), [item, None])
    elif "additionalProperties" in schema:
        value = example(schema["additionalProperties"])
        yield from ({key: value} for key in KEYS)
        yield {f"k{number}": value for number in range(schema.get("maxProperties", 16) + 1)}
    else:
        yield from ({key: 1} for key in ("unknown", "", "$(HOME)", "é"))


def _allowed_texts(schema: Schema) -> Iterator[str]:
    least, most = schema.get("minLength", 0), schema.get("maxLength", 1000)
    # The apiserver's patterns are Go's, which have a name for the characters that Python has none for.
    pattern = re.compile(schema.get("pattern", "").replace("[:cntrl:]", r"\x00-\x1f\x7f"))
    lengths = ("a" * length for length in (least, most - 1, most))
    for text in (*_WORDS, *lengths, "example.com/" + "x" * 63, "$(HOME)", "{{ a }}", "price$$list", "日本語"):
        if least <= len(text) <= most and pattern.search(text):
            yield text


def _allowed_numbers(schema: Schema) -> Iterator[Any]:
    least, most = schema.get("minimum", 0), schema.get("maximum", 2**31 - 1)
    yield from (least, most)
    yield from (least + 1, most - 1) if schema["type"] == "integer" else ((least + most) / 2, least + 1e-9)


def _allowed_arrays(schema: Schema) -> Iterator[list[Any]]:
    items = [*dict.fromkeys(map(repr, allowed(schema["items"])))]
    values = {repr(value): value for value in allowed(schema["items"])}
    yield [values[items[0]]]
    yield [values[name] for name in items[: schema.get("maxItems", 10)]]
    if not schema.get("minItems"):
        yield []
