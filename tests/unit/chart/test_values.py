"""The chart's values, their comments, their schema and the templates say the same."""

import copy
import json
import re
from collections.abc import Iterator
from typing import Any

import jsonschema
import pytest
import yaml

from tests.support.repository import ROOT

CHART = ROOT / "helm/transcription-operator"
TEXT = (CHART / "values.yaml").read_text()
VALUES: dict[str, Any] = yaml.safe_load(TEXT)
SCHEMA: dict[str, Any] = json.loads((CHART / "values.schema.json").read_text())
TEMPLATES = "\n".join(path.read_text() for path in sorted((CHART / "templates").rglob("*.*")))
VALIDATOR = jsonschema.Draft7Validator(SCHEMA)


def leaves(values: dict[str, Any], path: str = "") -> Iterator[str]:
    """Return the paths of all values except maps that have entries."""
    for name, value in values.items():
        inner = f"{path}.{name}" if path else name
        if isinstance(value, dict) and value:
            yield from leaves(value, inner)
        else:
            yield inner


def schema_leaves(schema: dict[str, Any], path: str = "") -> Iterator[str]:
    for name, field in schema["properties"].items():
        inner = f"{path}.{name}" if path else name
        if "properties" in field:
            yield from schema_leaves(field, inner)
        else:
            yield inner


def beginnings(path: str) -> list[str]:
    parts = path.split(".")
    return [".".join(parts[:length]) for length in range(1, len(parts) + 1)]


def test_every_value_has_a_comment() -> None:
    lines = TEXT.splitlines()
    bare = [
        line.strip()
        for before, line in zip(["", *lines], lines, strict=False)
        if re.match(r"\s*[A-Za-z]\w*:", line) and not before.lstrip().startswith("# ")
    ]
    assert bare == []


def test_every_comment_is_a_sentence() -> None:
    comments = [line.strip() for line in TEXT.splitlines() if line.lstrip().startswith("#")]
    assert [comment for comment in comments if not comment.endswith((".", "]."))] == []


@pytest.mark.parametrize("path", list(leaves(VALUES)))
def test_every_value_is_used_by_a_template(path: str) -> None:
    assert any(re.search(rf"\.Values\.{re.escape(part)}(?![\w.])", TEMPLATES) for part in beginnings(path))


def test_templates_use_no_value_that_is_not_declared() -> None:
    declared = {part for path in leaves(VALUES) for part in beginnings(path)}
    assert set(re.findall(r"\.Values\.([\w.]+\w)", TEMPLATES)) <= declared


def test_the_default_values_fit_the_schema() -> None:
    VALIDATOR.validate(VALUES)


def test_the_schema_has_every_value_and_no_other() -> None:
    in_schema = set(schema_leaves(SCHEMA))
    known = {part for path in in_schema for part in beginnings(path)}
    # Below a leaf of the schema values are Kubernetes' own.
    given = {path for path in leaves(VALUES) if not in_schema & set(beginnings(path)[:-1])}
    assert {part for path in given for part in beginnings(path)} <= known
    filled_by_users = {"global", "worker.resources.requests", "worker.resources.limits"}
    assert {
        path for path in in_schema if not any(path in beginnings(value) for value in leaves(VALUES))
    } == filled_by_users


REFUSED = [
    ("replicas", "two"),
    ("replicas", -1),
    ("logFormat", "xml"),
    ("logLevel", "debug"),
    ("namespaces", "demo"),
    ("namespaces", ["Demo"]),
    ("image.pullPolicy", "Sometimes"),
    ("image.repository", ""),
    ("image.tag", 1.0),
    ("worker.image.repo", "x"),
    ("worker.resources.limit", {}),
    ("worker.resources.limits", {"memory": "4 GB"}),
    ("image.digest", "latest"),
    ("worker.image.digest", "sha256:0123"),
    ("imagePullSecrets", "registry"),
    ("imagePullSecrets", [{"nam": "registry"}]),
    ("worker.imagePullSecrets", [{"name": "registry", "namespace": "x"}]),
    ("worker.image.minDriver", "580.65.06"),
    ("worker.image.cuda", 13.2),
    ("worker.image.computeCapabilities", ["sm_90"]),
    ("worker.images", [{"tag": "1"}]),
    ("worker.images", [{"repository": "worker", "pullPolicy": "Always"}]),
    ("rbac.readNodes", "yes"),
    ("rbac.readWorkloads", "yes"),
    ("worker.resourceName", "gpu"),
    ("worker.limitMemory", "16Gi"),
    ("worker.gpuProduct", "NVIDIA H100"),
    ("worker.sizeLimits.scratch", "20 GB"),
    ("worker.sizeLimits.cache", "20Gi"),
    ("worker.runtimeClassName", "NVIDIA"),
    ("worker.priorityClassName", 1000),
    ("worker.nodeSelector", {"pool": 1}),
    ("worker.tolerations", [{"key": "gpu", "operator": "exists"}]),
    ("worker.tolerations", [{"keys": "gpu"}]),
    ("worker.hostUsers", "no"),
    ("worker.extraEnv", {"A": "b"}),
    ("worker.extraEnv", [{"name": "A", "valuefrom": {}}]),
    ("worker.extraEnv", [{"name": "a b", "value": "c"}]),
    ("worker.proxy.httpProxy", "proxy.example.com:3128"),
    ("worker.proxy.httpsProxy", "http://me:secret@proxy.example.com:3128"),
    ("worker.caBundle.configMapName", "Trusted"),
    ("worker.caBundle.key", "a/b"),
    ("extraEnv", [{"value": "c"}]),
    ("modelCache.hostPath", "cache"),
    ("crds.install", "yes"),
    ("serviceAccount.annotations", {"a": 1}),
    ("tuning.queueWorkers", 0),
    ("httpPort", 70000),
    ("podMonitor.interval", "often"),
    ("networkPolicy.apiServerPorts", []),
    ("allowedEndpoints", ["https://s3.example/"]),
    ("nodeSelector", ["gpu"]),
    ("fullnameOverride", "Operator"),
    ("replicaCount", 2),
]


@pytest.mark.parametrize(("path", "value"), REFUSED, ids=[f"{path}={value}" for path, value in REFUSED])
def test_the_schema_refuses_a_wrong_value(path: str, value: object) -> None:
    values = copy.deepcopy(VALUES)
    *outer, last = path.split(".")
    place = values
    for name in outer:
        place = place[name]
    place[last] = value
    assert not VALIDATOR.is_valid(values)


def test_the_charts_copy_of_the_crd_is_the_one_in_crds() -> None:
    copied = CHART / "files/transcriptionjobs.transcription.dev.yaml"
    assert copied.resolve() == (ROOT / "crds/transcriptionjobs.transcription.dev.yaml").resolve()


def test_chart_and_operator_have_the_same_version() -> None:
    chart = yaml.safe_load((CHART / "Chart.yaml").read_text())
    project = re.search(r'^version = "(.+)"$', (ROOT / "operator/pyproject.toml").read_text(), re.MULTILINE)
    assert project is not None
    assert chart["version"] == chart["appVersion"] == project[1]
