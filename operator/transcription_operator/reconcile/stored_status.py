"""Read the status that is stored in a resource, and render the one that takes its place."""

from typing import Any

from transcription_api.bounds import read_leniently
from transcription_api.codec import to_json, unread_fields
from transcription_api.status import Status

from transcription_operator.models.json_text import decode_json
from transcription_operator.reconcile.observed_state import ObservedState


def parse_status(status_json: bytes) -> Status:
    """Parse a stored status. What this version cannot read is left out: a newer operator may have written it.

    Times that cannot be compared are left out as well: the schema's format lets some of them pass.
    """
    return read_leniently(Status, decode_json(status_json)) or Status()


def render_status(status: Status, observed: ObservedState) -> dict[str, Any]:
    """Return a status as JSON, with the fields of the stored one that this version cannot read: a write replaces them all."""
    stored = decode_json(observed.resource.status_json)
    written: dict[str, Any] = unread_fields(stored, observed.status) | to_json(status)
    return written
