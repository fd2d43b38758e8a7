"""The speed that an earlier run has left is a hint, and whatever lies there instead of it does no harm."""

from typing import Any, cast

import pytest
from transcription_api.spec import parse_spec
from transcription_worker.batch import speeds
from transcription_worker.batch.speeds import GPU_SPEED, expected_speed

SPEC = parse_spec(
    {"source": {"s3": {"bucket": "audio", "prefix": ""}}, "destination": {"s3": {"bucket": "transcripts"}}}
)


class Holding:
    """Stands in for a bucket whose every object is this one."""

    def __init__(self, body: bytes) -> None:
        self._body = body

    def read(self, _: str) -> tuple[bytes, str]:
        return self._body, "etag"


@pytest.mark.parametrize(
    ("kept", "speed"),
    [
        *[("250.5", 250.5), ("0.01", 0.01)],
        *[(wrong, GPU_SPEED) for wrong in ("5e-324", "0", "-1", "1e999", "NaN", "1e6", '"fast"', "null", "[1]")],
    ],
)
def test_a_speed_counts_if_a_pod_can_have_it(kept: str, speed: float) -> None:
    body = f'{{"{speeds._name(SPEC)}": {kept}}}'.encode()
    assert expected_speed(SPEC, cast(Any, Holding(body))) == speed
