"""Read the spec that is stored in a resource."""

import functools
import json

from transcription_api.spec import Spec, parse_spec


# One reconcile asks several times: as many specs as queue workers can have at hand.
@functools.lru_cache(maxsize=64)
def parse_stored_spec(spec_json: bytes) -> Spec:
    """Parse a stored spec.

    Raises:
        codec.InvalidFieldError: A field is missing or of another type.
    """
    return parse_spec(json.loads(spec_json))
