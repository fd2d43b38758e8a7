"""What the status says of a valid spec before anything is done for it."""

import functools
from datetime import datetime

from transcription_api import names, reasons
from transcription_api.codec import unknown_fields
from transcription_api.spec import Spec
from transcription_api.status import ConditionType, Status

from transcription_operator.models.json_text import decode_json
from transcription_operator.models.times import format_time
from transcription_operator.reconcile import status_transitions as transitions
from transcription_operator.reconcile.conditions import find_condition
from transcription_operator.reconcile.observed_state import ObservedState
from transcription_operator.reconcile.phases import current_phase

# Fields that the condition Accepted names.
MAX_NAMED = 10


# One reconcile decides two or three times: as many specs as queue workers can have at hand.
@functools.lru_cache(maxsize=64)
def _acceptance(spec_json: bytes) -> str:
    """The message of Accepted=True, which names the fields that a newer custom resource definition let pass."""
    unknown = [*unknown_fields(Spec, decode_json(spec_json), "spec")]
    if not unknown:
        return "the spec is valid"
    more = f" and {len(unknown) - MAX_NAMED} more" if len(unknown) > MAX_NAMED else ""
    return f"the spec is valid; this version does not know {', '.join(unknown[:MAX_NAMED])}{more}"


def accept_spec(observed: ObservedState, spec: Spec, now: datetime) -> Status:
    """The status with Accepted=True and, until there is a plan of many files, Planned=False.

    A valid spec is accepted from its creation on, unless another version had refused it.
    """
    status = transitions.with_model(observed.status, spec)
    message, created = _acceptance(observed.resource.spec_json), observed.resource.created
    at = format_time(now) if find_condition(status.conditions, ConditionType.ACCEPTED) is not None else created
    status = transitions.with_condition(status, ConditionType.ACCEPTED, True, reasons.SPEC_VALID, message, at)
    if current_phase(spec, status) != names.PHASE_PLAN:
        return status
    message = "the files are found and divided into shards"
    return transitions.with_condition(status, ConditionType.PLANNED, False, reasons.PLANNING, message, created)
