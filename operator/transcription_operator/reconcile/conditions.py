"""The conditions of a status, as metav1.Condition: at most one of each type, always in the same order."""

import dataclasses
from collections.abc import Iterable

from transcription_api.reasons import Reason
from transcription_api.status import Condition, ConditionType

Conditions = tuple[Condition, ...]

# Characters. Enough for a message of the scheduler or of a driver, which may be of any length.
MESSAGE_LIMIT = 1024
_ORDER = {kind.value: place for place, kind in enumerate(ConditionType)}


def set_condition(
    conditions: Conditions, kind: ConditionType, value: bool, reason: Reason, message: str, at: str
) -> Conditions:
    """Replace or add one condition.

    `at` becomes its lastTransitionTime if its status changes; otherwise the earlier time stays.
    """
    old = find_condition(conditions, kind)
    status = "True" if value else "False"
    since = old.last_transition_time if old is not None and old.status == status else at
    new = Condition(kind.value, status, reason.name, truncate_message(message), since, 0)
    others = (item for item in conditions if item.type != kind.value)
    return tuple(sorted((*others, new), key=lambda item: _ORDER.get(item.type, len(_ORDER))))


def find_condition(conditions: Iterable[Condition], kind: ConditionType) -> Condition | None:
    """The condition of this type, or None."""
    return next((item for item in conditions if item.type == kind.value), None)


def is_true(conditions: Iterable[Condition], kind: ConditionType, reason: Reason | None = None) -> bool:
    """Whether a condition is True, and for this reason if one is given."""
    found = find_condition(conditions, kind)
    if found is None or found.status != "True":
        return False
    return reason is None or found.reason == reason.name


def find_reason(conditions: Iterable[Condition], kind: ConditionType) -> str | None:
    """The reason of the condition of this type, or None if there is none."""
    found = find_condition(conditions, kind)
    return found.reason if found is not None else None


def with_observed_generation(conditions: Conditions, generation: int) -> Conditions:
    """Set observedGeneration on every condition: kubectl wait ignores conditions of an older generation."""
    return tuple(dataclasses.replace(item, observed_generation=generation) for item in conditions)


def truncate_message(message: str) -> str:
    """Cut a message to MESSAGE_LIMIT characters, with an ellipsis as the last one."""
    return message if len(message) <= MESSAGE_LIMIT else message[: MESSAGE_LIMIT - 1] + "…"
