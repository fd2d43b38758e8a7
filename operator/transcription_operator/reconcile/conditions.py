"""Conditions of a status, as metav1.Condition: one of each type, in one order, with a transition time that moves only on change."""

import dataclasses
from collections.abc import Iterable

from transcription_api.reasons import Reason
from transcription_api.status import Condition, ConditionType

Conditions = tuple[Condition, ...]

# Characters. Room for a scheduler's or a driver's words, whatever wrote them.
MESSAGE_LIMIT = 1024
_ORDER = {kind.value: place for place, kind in enumerate(ConditionType)}


def set_condition(
    conditions: Conditions, kind: ConditionType, holds: bool, reason: Reason, message: str, at: str
) -> Conditions:
    """The conditions with one replaced. `at` is when it came to hold, used only where its status changes."""
    old = find_condition(conditions, kind)
    value = "True" if holds else "False"
    since = old.last_transition_time if old is not None and old.status == value else at
    new = Condition(kind.value, value, reason.name, shortened(message), since, 0)
    others = (item for item in conditions if item.type != kind.value)
    return tuple(sorted((*others, new), key=lambda item: _ORDER.get(item.type, len(_ORDER))))


def find_condition(conditions: Iterable[Condition], kind: ConditionType) -> Condition | None:
    return next((item for item in conditions if item.type == kind.value), None)


def holds(conditions: Iterable[Condition], kind: ConditionType, reason: Reason | None = None) -> bool:
    """Whether a condition is True, for this reason if one is given."""
    found = find_condition(conditions, kind)
    if found is None or found.status != "True":
        return False
    return reason is None or found.reason == reason.name


def observed(conditions: Conditions, generation: int) -> Conditions:
    """All conditions speak of this generation: kubectl wait passes over older ones."""
    return tuple(dataclasses.replace(item, observed_generation=generation) for item in conditions)


def shortened(message: str) -> str:
    return message if len(message) <= MESSAGE_LIMIT else message[: MESSAGE_LIMIT - 1] + "…"
