"""Events that tell of a status' change: one for each turn, none for the way there."""

from transcription_api import reasons
from transcription_api.status import Condition, ConditionType, Status

from transcription_operator.reconcile.conditions import find_condition
from transcription_operator.reconcile.plan import EventNote

# The verdict of a transcript in which nothing, or next to nothing, is flagged.
GOOD = "good"
# Conditions whose coming to hold is worth an event, and the event's kind.
TURNS = (
    (ConditionType.COMPLETE, "Normal"),
    (ConditionType.FAILED, "Warning"),
    (ConditionType.DEGRADED, "Warning"),
    (ConditionType.SUSPENDED, "Normal"),
)
# Reasons of Running=False that a person should hear of.
TROUBLES = (
    reasons.RETRYING.name,
    reasons.UNSCHEDULABLE.name,
    reasons.IMAGE_PULL_FAILED.name,
    reasons.CONTAINER_NOT_STARTED.name,
    reasons.JOB_NOT_CREATED.name,
)


def notes_of(previous: Status, status: Status) -> tuple[EventNote, ...]:
    """The events between two statuses, in the order in which things happened."""
    return (
        *_job_notes(previous, status),
        *_trouble_notes(previous, status),
        *_quality_notes(previous, status),
        *_turn_notes(previous, status),
    )


def _job_notes(previous: Status, status: Status) -> list[EventNote]:
    before, after = previous.job_ref, status.job_ref
    if after is None or (before is not None and before.name == after.name):
        return []
    created = EventNote("Normal", reasons.JOB_CREATED.name, f"created Job {after.name}")
    suspended = find_condition(previous.conditions, ConditionType.SUSPENDED)
    if before is None or (suspended is not None and suspended.status == "True"):
        return [created]
    return [EventNote("Warning", reasons.JOB_LOST.name, f"Job {before.name} was deleted from outside"), created]


def _trouble_notes(previous: Status, status: Status) -> list[EventNote]:
    new = find_condition(status.conditions, ConditionType.RUNNING)
    old = find_condition(previous.conditions, ConditionType.RUNNING)
    if new is None or new.reason not in TROUBLES or (old is not None and old.reason == new.reason):
        return []
    return [EventNote("Warning", new.reason, new.message)]


def _quality_notes(previous: Status, status: Status) -> list[EventNote]:
    """A transcript that may be wrong, unless its failure says so itself."""
    found = status.quality
    rejected = status.failure is not None and status.failure.reason == reasons.QUALITY_REJECTED.name
    if found is None or found.verdict == GOOD or found == previous.quality or rejected:
        return []
    counts = {
        "repetition loops": found.repetition_loops,
        "text over silence": found.text_over_silence,
        "low confidence": found.low_confidence,
        "implausible rate": found.implausible_rate,
    }
    flagged = ", ".join(f"{what} {count}" for what, count in counts.items() if count)
    message = f"verdict {found.verdict}; segments flagged: {flagged or 'none'}"
    return [EventNote("Warning", reasons.LOW_QUALITY.name, message)]


def _turn_notes(previous: Status, status: Status) -> list[EventNote]:
    turns = []
    for kind, level in TURNS:
        new = find_condition(status.conditions, kind)
        if new is not None and new.status == "True" and not _held(find_condition(previous.conditions, kind)):
            turns.append(EventNote(level, new.reason, new.message))
    return turns


def _held(condition: Condition | None) -> bool:
    return condition is not None and condition.status == "True"
