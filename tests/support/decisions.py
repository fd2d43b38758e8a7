"""Decide for an observed state in unit tests, and check that a stored decision is not written again."""

import dataclasses
from datetime import UTC, datetime
from typing import Any

from transcription_api.codec import to_json
from transcription_api.report import DeviceUsed, Report, WrittenObject
from transcription_api.spec import Format
from transcription_api.status import Condition, Status
from transcription_operator.reconcile.decide import decide
from transcription_operator.reconcile.observed_state import ObservedState
from transcription_operator.reconcile.plan import Plan
from transcription_operator.reconcile.stored_status import parse_status

from tests.support.kubernetes_objects import SPEC, config, observed_state, resource

NOW = datetime(2026, 1, 1, 10, 6, tzinfo=UTC)
# A report that confirms every object that `SPEC` asks for.
GOOD = Report(
    device=DeviceUsed("cuda", "NVIDIA L4"),
    language="pt",
    audio_seconds=100.0,
    wall_seconds=10.0,
    objects=(WrittenObject(Format.JSON, 10, "a"), WrittenObject(Format.TXT, 5, "b")),
)


def observe(spec: dict[str, Any] | None = None, status: Status | None = None, **what: Any) -> ObservedState:
    """Return an observed state; `spec` changes the fields of the smallest spec."""
    if (newest := what.get("job")) is not None:
        what.setdefault("jobs", (newest,))
    stored = to_json(status) if status is not None else {}
    return observed_state(resource({**SPEC, **(spec or {})}, stored), **what)


def settled(observed: ObservedState, now: datetime = NOW) -> tuple[Status, Plan]:
    """Return the decided status and plan, after checking that a stored status is not written again."""
    plan = decide(observed, config(), now)
    assert plan.status is not None
    stored = resource(observed.resource.spec, to_json(plan.status))
    again = decide(
        dataclasses.replace(observed, resource=stored, status=parse_status(stored.status_json)), config(), now
    )
    assert again.status is None
    assert again.events == ()
    return plan.status, plan


def condition(status: Status, kind: str) -> Condition:
    """Return the condition of this type."""
    return next(item for item in status.conditions if item.type == kind)
