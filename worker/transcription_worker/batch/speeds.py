"""How fast pods were in earlier runs to the same destination, so that shards are of the right size.

The object is a hint: it may be lost, or be written by two runs at once, and nothing but the size of shards depends on it.
"""

import json
import logging
from typing import Any

from transcription_api.layout import RUNS_FOLDER
from transcription_api.spec import DevicePolicy, Spec
from transcription_api.untrusted_json import parse_untrusted_json

from transcription_worker.errors import WorkerError
from transcription_worker.storage.bucket import SMALL, Bucket

log = logging.getLogger(__name__)

# Seconds of audio that are transcribed in a second, until a run has measured a pod: turbo on each GPU, small models on a CPU.
# Chosen low, since a shard that is too long costs more than one that is too short.
GPU_SPEED, CPU_SPEED = 100.0, 4.0
# A pod's speed is learned from as much work as this: less of it is mostly the first batch.
LEARNED_SECONDS = 60.0
MIN_SPEED, MAX_SPEED = 0.01, 100_000.0
KEPT = 100


def expected_speed(spec: Spec, bucket: Bucket) -> float:
    """Return the speed that the spec sets, or an earlier run had with the same model and options, or a guess."""
    if spec.shard.speed is not None:
        return spec.shard.speed
    known = _read(bucket, spec).get(_name(spec))
    if isinstance(known, int | float) and MIN_SPEED <= known <= MAX_SPEED:
        return float(known)
    return CPU_SPEED if spec.device.policy is DevicePolicy.CPU else GPU_SPEED * spec.device.gpus


def remember_speed(spec: Spec, bucket: Bucket, audio_seconds: float, busy_seconds: float) -> None:
    """Keep the speed of a run's pods, if they were busy for long enough."""
    if busy_seconds < LEARNED_SECONDS or not audio_seconds:
        return
    known = _read(bucket, spec)
    known.pop(_name(spec), None)
    known[_name(spec)] = round(min(audio_seconds / busy_seconds, MAX_SPEED), 2)
    kept = dict(list(known.items())[-KEPT:])
    bucket.write(_key(spec), json.dumps(kept, allow_nan=False, indent=1).encode(), "application/json")


def _key(spec: Spec) -> str:
    return f"{spec.destination.s3.prefix}{RUNS_FOLDER}speeds.json"


def _name(spec: Spec) -> str:
    """What decides the speed, as far as it is known before a pod has a node."""
    decoding = spec.decoding
    beams = decoding.beam_size or 1
    words = (spec.device.policy.value, spec.engine.value, spec.model.display_name, decoding.precision.value)
    return "/".join((*words, f"beams {beams}", f"gpus {spec.device.gpus}"))


def _read(bucket: Bucket, spec: Spec) -> dict[str, Any]:
    try:
        body, _ = bucket.read(_key(spec))
        value = parse_untrusted_json(body, SMALL)
    except (WorkerError, ValueError):
        return {}
    return value if isinstance(value, dict) else {}
