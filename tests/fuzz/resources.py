"""Make TranscriptionJobs from the schema: those of the examples, each changed in one place or in several.

Everything here is pure: the same seed gives the same resources.
"""

import copy
import json
import random
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Any

import yaml
from transcription_api import names

from tests.fuzz.context import Path, with_context
from tests.fuzz.values import HOSTILE, OTHER_TYPES, Schema, allowed, example, refused
from tests.support.repository import ROOT, read_crd

# How many resources make test-fuzz creates.
COUNT = 10_000
# The variable that repeats a run.
SEED = "FUZZ_SEED"
# How many places of a resource are changed at once, once each place has been changed alone.
AT_ONCE = (2, 2, 2, 3, 4)
# The share of the changes that give a value which the schema allows.
ALLOWED_SHARE = 0.9


@dataclass(frozen=True)
class Change:
    """One place of the spec, or of the metadata, and what it becomes. `kind` is allowed, refused or removed."""

    path: Path
    kind: str
    value: Any = None

    def __str__(self) -> str:
        value = "" if self.kind == "removed" else f" {json.dumps(self.value)[:80]}"
        return f"{'.'.join(map(str, self.path))} {self.kind}{value}"


@dataclass(frozen=True)
class Resource:
    """A resource to create. With `strict` the apiserver is asked to refuse fields that it does not know."""

    number: int
    body: dict[str, Any]
    changes: tuple[Change, ...]
    strict: bool

    def __str__(self) -> str:
        return "; ".join(map(str, self.changes)) or "unchanged"


def resources(numbers: Iterable[int], seed: str) -> Iterator[Resource]:
    """Yield the resources of these numbers. The first have one change each, in an order of the seed; later ones several."""
    schema, bases = spec_schema(), examples()
    alone = [*changes(schema), *metadata_changes()]
    random.Random(seed).shuffle(alone)
    kinds = {kind: [item for item in alone if (item.kind == "allowed") == kind] for kind in (True, False)}
    for number in numbers:
        dice = random.Random(f"{seed}/{number}")
        group = (alone[number],) if number < len(alone) else _several(kinds, dice)
        yield _changed(number, dice.choice(bases), group, schema, dice)


def spec_schema() -> Schema:
    """Return the schema of the spec in crds/."""
    [version] = read_crd()["spec"]["versions"]
    found: Schema = version["schema"]["openAPIV3Schema"]["properties"]["spec"]
    return found


def examples() -> list[dict[str, Any]]:
    """Return the specs of the examples, which together use most fields."""
    documents = [
        item for path in sorted((ROOT / "examples").glob("*.yaml")) for item in yaml.safe_load_all(path.read_text())
    ]
    return [item["spec"] for item in documents if item["kind"] == names.KIND]


def nodes(schema: Schema, path: Path = ()) -> Iterator[tuple[Path, Schema]]:
    """Yield the schema's nodes with their paths; 0 stands for an array's items, and a for a map's values."""
    yield path, schema
    for name, child in schema.get("properties", {}).items():
        yield from nodes(child, (*path, name))
    if "items" in schema:
        yield from nodes(schema["items"], (*path, 0))
    if "additionalProperties" in schema:
        yield from nodes(schema["additionalProperties"], (*path, "a"))


def changes(schema: Schema) -> Iterator[Change]:
    """Yield every change of the spec that there is of one place."""
    for path, node in nodes(schema):
        place = ("spec", *path)
        yield Change(place, "removed")
        yield from (Change(place, "allowed", value) for value in allowed(node))
        yield from (Change(place, "refused", value) for value in refused(node))


def metadata_changes() -> Iterator[Change]:
    """Yield changes of names, labels, annotations and owners, which the tenant writes too."""
    for value in (*HOSTILE, *OTHER_TYPES, "a.b", "a" * 200, "0"):
        for field in ("labels", "annotations"):
            yield Change(("metadata", field, "example.com/a"), "refused", value)
            yield Change(("metadata", field), "refused", {str(value)[:400]: "a"})
        yield Change(("metadata", "name"), "refused", value)
        yield Change(("metadata", "ownerReferences"), "refused", value)
        yield Change(("status",), "refused", value)
    for length in (1, 40, 50, 57, 58, 63, 64, 200, 240, 246):
        yield Change(("metadata", "name"), "allowed", "n" * length)
        yield Change(("metadata", "name"), "allowed", ".n" * (length // 2))


def _several(kinds: dict[bool, list[Change]], dice: random.Random) -> tuple[Change, ...]:
    """Choose changes, most of them allowed (True), outer places first so that none undoes another."""
    chosen = [dice.choice(kinds[dice.random() < ALLOWED_SHARE]) for _ in range(dice.choice(AT_ONCE))]
    return tuple(sorted(chosen, key=lambda item: len(item.path)))


def _changed(
    number: int, base: dict[str, Any], group: tuple[Change, ...], schema: Schema, dice: random.Random
) -> Resource:
    body = {"apiVersion": names.API_VERSION, "kind": names.KIND, "metadata": {}, "spec": copy.deepcopy(base)}
    for change in group:
        _apply(body, change, schema)
    _set_name(body, number)
    return Resource(number, body, group, strict=dice.random() < 0.5)


def _apply(body: dict[str, Any], change: Change, schema: Schema) -> None:
    """Change one place; what is above it is made where it is missing. Nothing is done where an earlier change forbids it."""
    if change.path[0] == "spec" and isinstance(body.get("spec"), dict):
        body["spec"] = with_context(body["spec"], change.path[1:])
    part: Any = body
    node: Schema = {"properties": {"spec": schema}}
    for key in change.path[:-1]:
        node = _child(node, key)
        part = _descend(part, key, node)
        if not isinstance(part, dict | list):
            return
    key = change.path[-1]
    if change.kind == "removed":
        _remove(part, key)
    elif isinstance(part, dict) and isinstance(key, str):
        part[key] = copy.deepcopy(change.value)
    elif isinstance(part, list) and isinstance(key, int):
        part[key:] = [copy.deepcopy(change.value)]


def _child(node: Schema, key: str | int) -> Schema:
    """Return the schema below a node; metadata, which has none here, consists of objects."""
    below: Any = node.get("items") or node.get("additionalProperties") or {"type": "object"}
    found: Schema = node.get("properties", {}).get(key, below)
    return found


def _descend(part: Any, key: str | int, node: Schema) -> Any:
    if isinstance(part, dict) and isinstance(key, str):
        return part.setdefault(key, [] if node.get("type") == "array" else example(node))
    if isinstance(part, list) and isinstance(key, int):
        part[key:] = [*part[key:], example(node)][:1]
        return part[key]
    return None


def _remove(part: Any, key: str | int) -> None:
    if isinstance(part, dict):
        part.pop(str(key), None)
    elif isinstance(part, list) and isinstance(key, int):
        del part[key:]


def _set_name(body: dict[str, Any], number: int) -> None:
    """Give the resource a name of its own, which ends in what a change asked for."""
    metadata = body["metadata"]
    wanted = metadata.get("name", "")
    metadata["name"] = f"r{number:05}{wanted}" if isinstance(wanted, str) else wanted
