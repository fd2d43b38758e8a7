"""What is written of a status that the apiserver refuses, since the schema of another version allows less.

The outcome must get through: what is refused is left out, and the condition Degraded says so. As long as it does, the
status is written only for another phase or condition. Otherwise each reconcile would have the same status refused again.
"""

import dataclasses
from collections.abc import Iterable, Iterator
from typing import Any

from transcription_api import reasons
from transcription_api.codec import camel
from transcription_api.status import UNKNOWN_TIME, Condition, ConditionType, Status

from transcription_operator.reconcile.conditions import is_true, set_condition, with_observed_generation

# Never left out: they say what became of the resource.
OUTCOME = ("observed_generation", "phase", "conditions")


def was_rejected(status: Status) -> bool:
    """Whether parts of the status were left out because the apiserver had refused them."""
    return is_true(status.conditions, ConditionType.DEGRADED, reasons.STATUS_REJECTED)


def without_rejection(status: Status) -> Status:
    """The status without the condition that says that parts were left out, for a new try to write it whole."""
    if not was_rejected(status):
        return status
    return dataclasses.replace(status, conditions=_others(status))


def has_same_outcome(status: Status, other: Status) -> bool:
    """Whether two statuses have the same phase and conditions, but for Degraded."""
    return status.phase == other.phase and _others(status) == _others(other)


def shorter_statuses(status: Status, fields: Iterable[str], message: str) -> Iterator[Status]:
    """Yield what may be written in place of a status that was refused: at first most of it, then its outcome alone.

    `fields` are the paths that the apiserver named, as in status.device.name; `message` has its words.
    """
    named = {field.removeprefix("status.").split(".")[0].split("[")[0] for field in fields}
    details = [item for item in dataclasses.fields(Status) if item.name not in OUTCOME]
    at_fault = [item for item in details if camel(item.name) in named]
    for left_out in filter(None, (at_fault, details)):
        defaults: dict[str, Any] = {item.name: item.default for item in left_out}
        yield dataclasses.replace(_marked(status, message), **defaults)


def _marked(status: Status, message: str) -> Status:
    """The status with Degraded=True, since when its newest other condition holds."""
    at = max((item.last_transition_time for item in status.conditions), default=UNKNOWN_TIME)
    conditions = set_condition(status.conditions, ConditionType.DEGRADED, True, reasons.STATUS_REJECTED, message, at)
    conditions = with_observed_generation(conditions, status.observed_generation or 0)
    return dataclasses.replace(status, conditions=conditions)


def _others(status: Status) -> tuple[Condition, ...]:
    return tuple(item for item in status.conditions if item.type != ConditionType.DEGRADED.value)
