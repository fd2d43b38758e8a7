"""The page of metrics, probes and log lines is what the code serves."""

import json
import logging
import re
import sys
from typing import Any

import pytest
import yaml
from transcription_api import reasons
from transcription_api.status import Phase
from transcription_operator.models.objects import Key
from transcription_operator.observability.logs import JsonFormatter, log_context
from transcription_operator.observability.metrics import Metrics, ReconcileError
from transcription_worker import logs as worker_logs

from tests.support.kubernetes_objects import SPEC, resource
from tests.support.repository import ROOT

TEXT = (ROOT / "docs/observability.md").read_text()
# The suffixes of a histogram's series.
PARTS = ("bucket", "sum", "count")
SUBJECT = {"namespace": "team-a", "name": "interview", "uid": "uid-1"}


def rows(heading: str) -> list[list[str]]:
    """Return the cells of the first table below a heading, without its header. An escaped \\| does not end a cell."""
    table = TEXT.split(f"\n{heading}\n", 1)[1].split("\n| ---", 1)[1].split("\n\n", 1)[0]
    return [[cell.strip() for cell in re.split(r"(?<!\\)\|", line)[1:-1]] for line in table.splitlines()[1:]]


def code(cell: str) -> list[str]:
    return re.findall(r"`([^`]+)`", cell)


def collectors() -> list[Any]:
    registry = Metrics().registry
    return list(dict.fromkeys(registry._collector_to_names))


def shown_name(collector: Any) -> str:
    """Return the name of the series, since prometheus_client keeps a counter's name without its suffix."""
    return str(collector._name) + ("_total" if collector._type == "counter" else "")


def test_the_table_has_every_metric_with_its_type_and_labels_and_no_other() -> None:
    written = {code(name)[0]: (kind, tuple(code(labels))) for name, kind, labels, _ in rows("## Metrics")}
    assert written == {shown_name(item): (item._type, tuple(item._labelnames)) for item in collectors()}


def test_every_metric_has_a_meaning() -> None:
    assert all(len(meaning) > 20 for *_, meaning in rows("## Metrics"))


def test_the_values_of_kind_are_the_errors_of_a_reconcile() -> None:
    assert [code(value)[0] for value, _ in rows("### Values of `kind`")] == [item.value for item in ReconcileError]


def test_every_phase_is_named_where_the_label_is_explained() -> None:
    section = TEXT.split("### Values of `phase` and `reason`")[1].split("\n## ")[0]
    assert {phase.value for phase in Phase} <= set(code(section))


def series(expression: str) -> set[str]:
    return set(re.findall(r"\btranscription_\w+", expression))


@pytest.mark.parametrize("alert", [row[0] for row in rows("## Alerts")])
def test_an_alert_uses_series_labels_and_values_that_exist(alert: str) -> None:
    known = {shown_name(item): item for item in collectors()}
    histograms = {f"{name}_{part}" for name, item in known.items() if item._type == "histogram" for part in PARTS}
    assert series(alert) <= set(known) | histograms
    assert series(alert)
    values = {
        "kind": {item.value for item in ReconcileError},
        "phase": {item.value for item in Phase},
        "reason": set(reasons.BY_NAME),
    }
    for label, given in re.findall(r'(\w+)=~?"([^"]+)"', alert):
        assert set(re.split(r"\\?\|", given)) <= values[label]


def test_the_alert_for_an_operator_that_is_down_needs_no_series_of_it() -> None:
    """sum() of no series is none, which no comparison is true for."""
    [alert] = [row[0] for row in rows("## Alerts") if "Nothing is reconciled" in row[2]]
    assert alert == "`absent(transcription_leading == 1)`"


def test_the_probes_are_those_of_the_chart() -> None:
    template = (ROOT / "helm/transcription-operator/templates/deployment.yaml").read_text()
    assert [code(path)[0] for path, *_ in rows("## Probes")] == re.findall(r"path: (/\w+z)\b", template)


def test_the_port_is_the_charts_default() -> None:
    values = yaml.safe_load((ROOT / "helm/transcription-operator/values.yaml").read_text())
    assert f"port {values['httpPort']} (`httpPort` in the chart)" in TEXT


def failing_record() -> logging.LogRecord:
    try:
        int("what went wrong")
    except ValueError:
        return logging.LogRecord("a", logging.ERROR, "a.py", 1, "what happened", (), sys.exc_info())
    raise AssertionError


@pytest.mark.parametrize("program", ["operator", "worker"])
def test_the_fields_of_a_json_line_are_those_of_the_table(program: str, monkeypatch: pytest.MonkeyPatch) -> None:
    if program == "operator":
        with log_context(Key("team-a", "interview"), resource(SPEC)):
            line = JsonFormatter().format(failing_record())
    else:
        monkeypatch.setattr(worker_logs, "_subject", SUBJECT)
        line = worker_logs.JsonFormatter().format(failing_record())
    fields = json.loads(line)
    assert set(fields) == {name for cell, *_ in rows("## Log lines") for name in code(cell)}
    assert fields | SUBJECT == fields
    assert fields["level"] == "ERROR"
    assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z", fields["time"])
