"""What a life has left behind, in a form in which two lives of the same kind can be compared."""

import json
import re
from collections import Counter
from dataclasses import dataclass
from typing import Any

from transcription_api import names

from tests.faults.lives import View
from tests.faults.mirror import Mirror
from tests.support.api_client import Json

# Fields with numbers that depend on how long the steps took, and with identifiers that the apiserver chose.
# Everything else must be the same: conditions with their messages, counts, attempts, ordinals.
MASKED = {"uid", "queueSeconds"}
_TIME = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ")


@dataclass(frozen=True)
class Remains:
    """The status, the Jobs by name with their outcome, and the events of a resource."""

    status: Json
    jobs: dict[str, str]
    events: frozenset[str]


def remains(view: View, events: list[Json]) -> Remains:
    """Describe what is left of the resource. Its name and its Jobs' are replaced, since each life has its own."""
    status = json.loads(_named(view.name, json.dumps(view.status)))
    jobs = {_named(view.name, job["metadata"]["name"]): str(view.outcome(job)) for job in view.jobs}
    told = frozenset(f"{item['type']} {item['reason']}: {_named(view.name, item['message'])}" for item in events)
    return Remains(_masked(status), jobs, told)


def _named(name: str, text: str) -> str:
    return re.sub(rf"\b{name}\b(-[0-9a-f]{{8}})?", "job", text)


def _masked(value: Any, key: str = "") -> Any:
    """Replace times and what MASKED names by its type, so that whether it is there still counts."""
    if isinstance(value, dict):
        return {name: _masked(item, name) for name, item in value.items()}
    if isinstance(value, list):
        return [_masked(item) for item in value]
    if key in MASKED:
        return "number" if isinstance(value, int | float) else type(value).__name__
    return _TIME.sub("time", value) if isinstance(value, str) else value


def differences(expected: Remains, found: Remains) -> list[str]:
    """Say what differs. Events may be lost with an operator that is killed, but none may be new."""
    said = [
        f"{what}: expected {json.dumps(want, sort_keys=True)}, got {json.dumps(got, sort_keys=True)}"
        for what, want, got in (("status", expected.status, found.status), ("Jobs", expected.jobs, found.jobs))
        if want != got
    ]
    new = sorted(found.events - expected.events)
    return said + ([f"events that the life without faults has not: {new}"] if new else [])


def job_defects(name: str, jobs: Mirror, since: int) -> list[str]:
    """Say which Jobs of a resource were created twice, and where two of them were alive at the same time."""
    created: Counter[str] = Counter()
    alive: dict[str, str] = {}
    said = []
    for kind, job in jobs.history[since:]:
        meta = job["metadata"]
        if meta["annotations"].get(names.ANNOTATION_NAME) != name:
            continue
        created[meta["name"]] += kind == "ADDED"
        if kind == "DELETED" or "deletionTimestamp" in meta or View.outcome(job) is not None:
            alive.pop(meta["uid"], None)
        else:
            alive[meta["uid"]] = meta["name"]
        if len(alive) > 1:
            said.append(f"two live Jobs at once: {sorted(alive.values())}")
    return [f"{count} times created: {job}" for job, count in created.items() if count > 1] + said[:1]
