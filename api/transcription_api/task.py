"""All that the worker is told: JSON in the environment of its pod."""

import itertools
import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from transcription_api import names
from transcription_api.codec import from_json, unknown_fields
from transcription_api.spec import Spec, parse_spec

# Characters, all of them ASCII, of one variable: Linux has room for 128 KiB with its name (MAX_ARG_STRLEN).
PART_LIMIT = 120 * 1024


@dataclass(frozen=True)
class Task:
    """What one worker is to do.

    `phase` says which part of the work over many files it is. `spec` is the resource's own, so that both sides read it with
    the same code, but for fields that the worker has no use for.
    """

    namespace: str
    name: str
    uid: str
    spec: dict[str, Any]
    # One of names.PHASES or names.PHASE_DELETE; None for the one Job that transcribes a single file.
    phase: str | None = None

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
    given = {name: value for name, value in vars(task).items() if value is not None}  # the spec is JSON already
    text = json.dumps(given, sort_keys=True, separators=(",", ":"), allow_nan=False)
    return text.replace("$", "\\u0024")


def task_variables(task: Task) -> Iterator[tuple[str, str]]:
    """Return the names and values of the variables that hold the task: one, and more where it is long.

    The parts are cut anywhere, so that only all of them together are JSON.
    """
    text = encode_task(task)
    for number, begin in enumerate(range(0, len(text), PART_LIMIT)):
        yield _variable(number), text[begin : begin + PART_LIMIT]


def task_text(environment: Mapping[str, str]) -> str | None:
    """Return the text of a task in the environment, or None where there is none."""
    parts = (environment.get(_variable(number)) for number in itertools.count())
    return "".join(part or "" for part in itertools.takewhile(lambda part: part is not None, parts)) or None


def _variable(number: int) -> str:
    return names.ENV_TASK if number == 0 else f"{names.ENV_TASK}_{number}"


def parse_task(text: str) -> Task:
    """Read a task from JSON.

    Raises:
        ValueError: The text is no JSON, or a field does not fit (codec.InvalidFieldError).
    """
    return from_json(Task, json.loads(text), "task")
