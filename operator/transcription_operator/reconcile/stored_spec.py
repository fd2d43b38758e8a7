"""Read the spec that is stored in a resource."""

import functools

from transcription_api.spec import Spec, parse_spec

from transcription_operator.models.json_text import decode_json


# One reconcile asks several times: as many specs as queue workers can have at hand.
@functools.lru_cache(maxsize=64)
def parse_stored_spec(spec_json: bytes) -> Spec:
    """Parse a stored spec.

    Raises:
        codec.InvalidFieldError: A field is missing or of another type.
    """
    return parse_spec(decode_json(spec_json))
