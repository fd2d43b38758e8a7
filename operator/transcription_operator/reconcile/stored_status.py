"""Read the status that is stored in a resource."""

import dataclasses
import json
from typing import Any

from transcription_api.codec import InvalidFieldError, from_json
from transcription_api.status import Status

from transcription_operator.models.times import is_time


def parse_status(status_json: bytes) -> Status:
    """Parse a stored status, without the fields that this version does not know: a newer operator may have written them.

    Times that cannot be compared are left out as well: the schema's format lets some of them pass.
    """
    known = json.loads(status_json)
    for _ in range(len(known) + 1):
        try:
            return _with_valid_times(from_json(Status, known, "status"))
        except InvalidFieldError as error:
            known.pop(error.field.split(".")[1].split("[")[0], None)
    return Status()


def _with_valid_times(status: Status) -> Status:
    times = {name: getattr(status, name) for name in ("queued_time", "start_time", "completion_time")}
    invalid: dict[str, Any] = {name: None for name, time in times.items() if time is not None and not is_time(time)}
    return dataclasses.replace(status, **invalid) if invalid else status
