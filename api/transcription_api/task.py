"""All that the worker is told: JSON in one environment variable of its pod."""

import json
from dataclasses import dataclass
from typing import Any

from transcription_api.codec import from_json, to_json, unknown_fields
from transcription_api.spec import Spec, parse_spec


@dataclass(frozen=True)
class Task:
    """What one worker is to do.

    `spec` is the resource's own, so that both sides read it with the same code, but for fields that the worker has no use for.
    """

    namespace: str
    name: str
    uid: str
    spec: dict[str, Any]

    def parsed(self) -> Spec:
        """Return the spec of the task.

        Raises:
            codec.InvalidFieldError: A field of the spec does not fit.
        """
        return parse_spec(self.spec)

    def unknown_fields(self) -> list[str]:
        """Return the paths of the fields of the spec that this version does not know."""
        return [*unknown_fields(Spec, self.spec, "spec")]


def encode_task(task: Task) -> str:
    """Return one line of JSON with sorted keys, so that the same task gives the same pod.

    It holds no dollar sign, since the kubelet replaces $$ and $(NAME) in the values of environment variables: JSON's escape
    stands for it, which every version of the worker reads.
    """
    text = json.dumps(to_json(task), sort_keys=True, separators=(",", ":"), allow_nan=False)
    return text.replace("$", "\\u0024")


def parse_task(text: str) -> Task:
    """Read a task from JSON.

    Raises:
        ValueError: The text is no JSON, or a field does not fit (codec.InvalidFieldError).
    """
    return from_json(Task, json.loads(text), "task")
