"""Read the status that is stored in a resource."""

import json

from transcription_api.codec import InvalidFieldError, from_json
from transcription_api.status import Status


def parse_status(status_json: bytes) -> Status:
    """Parse a stored status, without the fields that this version does not know: a newer operator may have written them."""
    known = json.loads(status_json)
    for _ in range(len(known) + 1):
        try:
            return from_json(Status, known, "status")
        except InvalidFieldError as error:
            known.pop(error.field.split(".")[1].split("[")[0], None)
    return Status()
