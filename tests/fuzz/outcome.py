"""Say what became of a resource, and what is wrong with that. Everything here is pure."""

from dataclasses import dataclass, field
from typing import Any

from transcription_api import names, reasons
from transcription_api.task import parse_task, task_text

from tests.fuzz.resources import Resource
from tests.support.api_client import Json, RefusedError
from tests.support.kubelet_expansion import container_environment
from tests.support.simulated_cluster import condition

# What the condition Running says while the Job controller or the kubelet has yet to act.
_PASSING = (reasons.WAITING_FOR_POD.name, reasons.RETRYING.name)
# Fields that the worker has no use for.
_OF_THE_OPERATOR = ("suspend", "ttlSecondsAfterFinished", "parallelism", "deletionPolicy")
_PHASES = ("Complete", "Failed")


@dataclass
class Outcome:
    """The end of one resource: `kind` is refused, ended, waiting or stuck, and `reason` says why. No defects is success."""

    resource: Resource
    kind: str
    reason: str
    message: str = ""
    defects: list[str] = field(default_factory=list)


def refusal(resource: Resource, error: RefusedError) -> Outcome:
    """Judge an answer of the apiserver that creates nothing: it must name the field, or what cannot be read."""
    outcome = Outcome(resource, "refused", str(error.status), error.message)
    fields = [str(cause.get("field") or "") for cause in error.causes]
    if error.status not in (400, 422):
        outcome.defects.append(f"refused with neither 400 nor 422: {error}")
    elif error.status == 422 and not any(fields):
        outcome.defects.append(f"refused without a field: {error}")
    elif error.status == 422 and not _names_change(resource, error.message):
        outcome.defects.append(f"refused without the name of what was changed: {error}")
    elif len(error.message) < 10:
        outcome.defects.append(f"refused without a message: {error}")
    return outcome


def _names_change(resource: Resource, message: str) -> bool:
    """Whether a refusal of a single change names the field of the spec, or of the metadata, in which it is."""
    paths = {change.path[:2] for change in resource.changes}
    return len(paths) != 1 or str(paths.pop()[-1]) in message


def settled(status: Json) -> tuple[str, str] | None:
    """Return how a resource has ended, or for what it waits, as kind and reason; None while something is going on."""
    phase, running = status.get("phase"), condition(status, "Running")
    if phase in _PHASES:
        return "ended", str(condition(status, str(phase)).get("reason"))
    if running.get("status") == "False" and running.get("reason") not in _PASSING:
        return "waiting", str(running.get("reason"))
    return None


def judged(resource: Resource, status: Json) -> Outcome:
    """Judge the last status of a resource that the apiserver has accepted."""
    kind, reason = settled(status) or ("stuck", str(condition(status, "Running").get("reason")))
    outcome = Outcome(resource, kind, reason)
    if kind == "stuck":
        outcome.defects.append(f"neither ended nor waiting: {str(status)[:2000]}")
    elif reason not in reasons.BY_NAME:
        outcome.defects.append(f"a reason that nobody knows: {reason}")
    outcome.message = _message(status)
    if not outcome.message:
        outcome.defects.append(f"no message: {str(status)[:2000]}")
    elif reason == reasons.INVALID_SPEC.name and "spec" not in outcome.message:
        outcome.defects.append(f"a message that names no field: {outcome.message[:2000]}")
    return outcome


def _message(status: Json) -> str:
    """Return what the user reads of the end or of the wait."""
    kind = "Complete" if status.get("phase") == "Complete" else "Running"
    return str((status.get("failure") or condition(status, kind)).get("message") or "")


def task_defects(job: Json, spec: Any) -> list[str]:
    """Compare the task that the worker would read from its environment, as the kubelet expands it, with the spec."""
    (container,) = job["spec"]["template"]["spec"]["containers"]
    env = container_environment(item for item in container["env"] if "value" in item)
    task = parse_task(task_text(env) or "")
    told, wanted = task.spec, {name: value for name, value in spec.items() if name not in _OF_THE_OPERATOR}
    if task.phase in (names.PHASE_TRANSCRIBE, names.PHASE_COLLECT):
        # The plan has the list of keys, and only its own worker is told it.
        s3 = {name: value for name, value in wanted["source"]["s3"].items() if name != "keys"}
        wanted["source"] = wanted["source"] | {"s3": s3}
    # Where the pod runs is left out of the worker's task.
    wanted["device"] = {name: wanted["device"][name] for name in told["device"]}
    return [] if told == wanted else [f"the worker is told {told!r}"[:2000]]
