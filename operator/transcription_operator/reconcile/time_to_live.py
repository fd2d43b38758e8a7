"""How long a finished resource stays, which spec.ttlSecondsAfterFinished limits."""

from datetime import datetime

from transcription_api.spec import Spec
from transcription_api.status import ConditionType, Status

from transcription_operator.models.times import format_time, is_time, seconds_between
from transcription_operator.reconcile import status_transitions as transitions
from transcription_operator.reconcile.conditions import is_true
from transcription_operator.reconcile.phases import LAST_WRITES_SECONDS

# Seconds by which a stored time may be in the future, since the clocks of several apiservers differ a little.
CLOCK_TOLERANCE_SECONDS = 60.0


def seconds_to_live(status: Status, spec: Spec, deletes_results: bool, now: datetime) -> tuple[Status, float | None]:
    """The seconds until the resource is deleted, 0 or less if it is due, or None if it stays; and the status.

    They are counted from when the resource was seen to be finished: completionTime is by another clock. The status changes
    where it holds no such time, or one that cannot be true.
    """
    if spec.ttl_seconds_after_finished is None:
        return status, None
    finished = transitions.finished_time(status)
    if not is_time(finished) or seconds_between(finished or "", now) < -CLOCK_TOLERANCE_SECONDS:
        finished = format_time(now)
        status = transitions.with_finished_time(status, finished)
    # After a failure pods of a Job that was deleted may still write, and results that come after the deletion would stay.
    waits = deletes_results and is_true(status.conditions, ConditionType.FAILED)
    seconds = max(spec.ttl_seconds_after_finished, LAST_WRITES_SECONDS if waits else 0)
    return status, seconds - seconds_between(finished or "", now)
