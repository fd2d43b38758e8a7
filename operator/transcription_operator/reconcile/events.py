"""The Kubernetes events that a change of the status causes: one for each milestone, none for the steps between."""

from dataclasses import dataclass

from transcription_api import reasons
from transcription_api.report import GOOD
from transcription_api.status import Condition, ConditionType, DisruptionCounts, Status

from transcription_operator.reconcile.conditions import find_condition, find_reason
from transcription_operator.reconcile.disruptions import MANY_DISRUPTIONS

# Conditions that cause an event when they become True, and the type of that event.
MILESTONES = (
    (ConditionType.PLANNED, "Normal"),
    (ConditionType.COLLECTED, "Normal"),
    (ConditionType.COMPLETE, "Normal"),
    (ConditionType.FAILED, "Warning"),
    (ConditionType.DEGRADED, "Warning"),
    (ConditionType.SUSPENDED, "Normal"),
)
# Reasons of Running=False, Suspended=False or ResultsDeleted=False that somebody should look into.
WARNING_REASONS = (
    reasons.RETRYING.name,
    reasons.UNSCHEDULABLE.name,
    reasons.NO_MATCHING_NODE.name,
    reasons.IMAGE_PULL_FAILED.name,
    reasons.CONTAINER_NOT_STARTED.name,
    reasons.JOB_NOT_CREATED.name,
    reasons.REPORT_LOST.name,
    reasons.POD_NOT_CREATED.name,
    reasons.NODE_LOST.name,
    reasons.JOB_NOT_UPDATED.name,
    reasons.RESULTS_NOT_DELETED.name,
)


@dataclass(frozen=True)
class Event:
    """A Kubernetes event to be created. Equal values become the same event, however often they are recorded."""

    type: str  # Normal or Warning
    reason: str
    message: str


def events_between(previous: Status, status: Status) -> tuple[Event, ...]:
    """The events that lead from one status to the next, in the order in which things happened."""
    return (
        *_job_events(previous, status),
        *_waiting_events(previous, status),
        *_disruption_events(previous, status),
        *_transcribed_events(previous, status),
        *_quality_events(previous, status),
        *_milestone_events(previous, status),
    )


def _job_events(previous: Status, status: Status) -> list[Event]:
    before, after = previous.job_ref, status.job_ref
    if after is None or (before is not None and before.name == after.name):
        return []
    phase = f" of phase {after.phase}" if after.phase is not None else ""
    created = Event("Normal", reasons.JOB_CREATED.name, f"created Job {after.name}{phase}")
    if (
        before is None
        or before.phase != after.phase
        or _is_true(find_condition(previous.conditions, ConditionType.SUSPENDED))
    ):
        return [created]
    if find_reason(previous.conditions, ConditionType.RUNNING) == reasons.REPORT_LOST.name:
        return [created]
    return [Event("Warning", reasons.JOB_LOST.name, f"Job {before.name} was deleted from outside"), created]


def _waiting_events(previous: Status, status: Status) -> list[Event]:
    events = []
    for kind in (ConditionType.RUNNING, ConditionType.SUSPENDED, ConditionType.RESULTS_DELETED):
        new, old = find_condition(status.conditions, kind), find_condition(previous.conditions, kind)
        if new is None or _is_true(new) or new.reason not in WARNING_REASONS:
            continue
        if old is None or old.reason != new.reason:
            events.append(Event("Warning", new.reason, new.message))
    return events


def _disruption_events(previous: Status, status: Status) -> list[Event]:
    before, after = previous.disruptions or DisruptionCounts(), status.disruptions or DisruptionCounts()
    if before.disrupted // MANY_DISRUPTIONS >= after.disrupted // MANY_DISRUPTIONS:
        return []
    message = f"{after.disrupted} worker pods were disrupted, and each began anew"
    return [Event("Warning", reasons.REPEATEDLY_DISRUPTED.name, message)]


def _transcribed_events(previous: Status, status: Status) -> list[Event]:
    """The end of the phase transcribe, with the failure that ended it early if one did."""
    collected = find_condition(status.conditions, ConditionType.COLLECTED)
    if collected is None or _is_true(collected) or find_condition(previous.conditions, ConditionType.COLLECTED):
        return []
    failed = status.failure is not None
    return [Event("Warning" if failed else "Normal", collected.reason, collected.message)]


def _quality_events(previous: Status, status: Status) -> list[Event]:
    """A warning for a transcript that may be wrong, unless the failure itself says so."""
    quality = status.quality
    rejected = status.failure is not None and status.failure.reason == reasons.QUALITY_REJECTED.name
    if quality is None or quality.verdict == GOOD or quality == previous.quality or rejected:
        return []
    counts = {
        "repetition loops": quality.repetition_loops,
        "text over silence": quality.text_over_silence,
        "low confidence": quality.low_confidence,
        "implausible rate": quality.implausible_rate,
    }
    flagged = ", ".join(f"{flag} {count}" for flag, count in counts.items() if count)
    message = f"verdict {quality.verdict}; segments flagged: {flagged or 'none'}"
    return [Event("Warning", reasons.LOW_QUALITY.name, message)]


def _milestone_events(previous: Status, status: Status) -> list[Event]:
    events = []
    for condition_type, event_type in MILESTONES:
        new = find_condition(status.conditions, condition_type)
        if new is not None and _is_true(new) and not _is_true(find_condition(previous.conditions, condition_type)):
            events.append(Event(event_type, new.reason, new.message))
    return events


def _is_true(condition: Condition | None) -> bool:
    return condition is not None and condition.status == "True"
