"""The reference page is the one that is generated from the present CRD."""

from collections.abc import Iterator, Mapping
from typing import Any

from hack.crd.immutability import written_rule
from hack.docs.reference import REFERENCE, render_reference
from tests.support.repository import read_crd

SCHEMA = read_crd()["spec"]["versions"][0]["schema"]["openAPIV3Schema"]


def rules(schema: Mapping[str, Any]) -> Iterator[str]:
    """Return every rule between fields, at every depth, except those about changes."""
    for rule in map(written_rule, schema.get("x-kubernetes-validations", ())):
        if "oldSelf" not in rule:
            yield rule
    for field in (*schema.get("properties", {}).values(), schema.get("items", {})):
        if isinstance(field, Mapping) and field:
            yield from rules(field)


def test_the_reference_is_as_make_docs_writes_it() -> None:
    assert REFERENCE.read_text() == render_reference(read_crd())


def test_the_reference_has_every_rule() -> None:
    page = render_reference(read_crd()).replace("\\|", "|")
    assert len([*rules(SCHEMA)]) > 40
    assert [rule for rule in rules(SCHEMA) if rule not in page] == []
