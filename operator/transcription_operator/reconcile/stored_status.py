"""Read the status that is stored in a resource."""

import json

from transcription_api.bounds import read_leniently
from transcription_api.status import Status


def parse_status(status_json: bytes) -> Status:
    """Parse a stored status. What this version cannot read is left out: a newer operator may have written it.

    Times that cannot be compared are left out as well: the schema's format lets some of them pass.
    """
    return read_leniently(Status, json.loads(status_json)) or Status()
