"""The lives of a resource that the plans disturb: its spec, how its pods end, and what its user does meanwhile."""

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from transcription_api import exit_codes, names, reasons
from transcription_api.report import Report, failure

from tests.faults.mirror import Mirror
from tests.support.api_client import Json
from tests.support.simulated_cluster import Namespace, good_report
from tests.support.simulated_cluster import condition as condition_of


class View:
    """What there is of one resource at one moment."""

    def __init__(self, name: str, resources: Mirror, jobs: Mirror, pods: Mirror) -> None:
        self.name = name
        self.resource = resources.objects.get(name)
        self.jobs = [job for job in jobs.items() if job["metadata"]["annotations"].get(names.ANNOTATION_NAME) == name]
        self.jobs.sort(key=lambda job: int(job["metadata"]["labels"][names.LABEL_ORDINAL]))
        # A pod has its Job's name, and a Job its resource's.
        self._pods = [pod for pod in pods.items() if pod["metadata"]["name"].startswith(f"{name}-")]
        self._pods.sort(key=lambda pod: int(pod["metadata"]["name"].rpartition("-")[2]))

    @property
    def status(self) -> Json:
        return (self.resource or {}).get("status") or {}

    def condition(self, kind: str) -> Json:
        return condition_of(self.status, kind)

    def told(self, reason: str) -> bool:
        """Whether the condition Running has this reason."""
        return bool(self.condition("Running").get("reason") == reason)

    def pods_of(self, job: Json) -> list[Json]:
        return [pod for pod in self._pods if self.owner(pod) == job["metadata"]["uid"]]

    def described(self) -> Json:
        """Return the states of the resource, its Jobs and its pods."""
        jobs = {job["metadata"]["name"]: job.get("status") for job in self.jobs}
        return {
            "status": self.status,
            "jobs": jobs,
            "pods": {pod["metadata"]["name"]: pod["status"] for pod in self._pods},
        }

    def orphans(self) -> list[Json]:
        """Return the pods whose Job is gone."""
        uids = {job["metadata"]["uid"] for job in self.jobs}
        return [pod for pod in self._pods if self.owner(pod) not in uids]

    @staticmethod
    def owner(item: Json) -> str:
        [reference] = item["metadata"]["ownerReferences"]
        return str(reference["uid"])

    @staticmethod
    def outcome(job: Json) -> str | None:
        conditions = (job.get("status") or {}).get("conditions") or ()
        finished = (item["type"] for item in conditions if item["type"] in ("Complete", "Failed"))
        return next(finished, None)


@dataclass(frozen=True)
class Outcome:
    """How a pod ends."""

    exit_code: int
    report: Report | None


@dataclass(frozen=True)
class Step:
    """What the user, or somebody else, does once the view is so."""

    when: Callable[[View], bool]
    do: Callable[[Namespace, View], Any]


@dataclass
class Life:
    """One life. `end` is the phase that it ends in, None if the resource is gone. `taken` counts the steps that are done."""

    name: str
    end: str | None
    outcomes: tuple[Outcome, ...] = ()
    steps: tuple[Step, ...] = ()
    spec: dict[str, Any] = field(default_factory=dict)
    hasty: bool = False
    taken: int = 0
    born: bool = False  # whether the resource has been seen

    def act(self, area: Namespace, view: View) -> None:
        """Take the user's next step if its time has come."""
        self.born = self.born or view.resource is not None
        if self.taken < len(self.steps) and self.steps[self.taken].when(view):
            self.steps[self.taken].do(area, view)
            self.taken += 1

    def may_end(self, view: View) -> bool:
        """Whether a running pod may end: the user's steps come first."""
        return self.taken == len(self.steps)

    def ended(self, view: View) -> bool:
        if self.taken < len(self.steps) or not self.born:
            return False
        if self.end is None:
            return view.resource is None and not view.jobs
        return bool(view.status.get("phase") == self.end)


GOOD = Outcome(exit_codes.OK, good_report())
NO_KEY = Outcome(exit_codes.SOURCE_NOT_FOUND, failure(reasons.NO_SUCH_KEY, "s3://audio/interviews/01.wav"))
REFUSED = Outcome(exit_codes.UNREACHABLE, failure(reasons.ENDPOINT_UNREACHABLE, "refused"))


def _suspend(value: bool) -> Callable[[Namespace, View], None]:
    return lambda area, view: area.change(view.name, suspend=value)


def _delete_job(area: Namespace, view: View) -> None:
    area.api.delete(f"{area.jobs}/{view.jobs[-1]['metadata']['name']}")


def _admit(area: Namespace, view: View) -> None:
    """Resume the Job as a queue does."""
    area.api.patch(f"{area.jobs}/{view.jobs[-1]['metadata']['name']}", {"spec": {"suspend": False}})


def _running(view: View) -> bool:
    return view.told("WorkerRunning")


def _suspended(view: View) -> bool:
    return bool(view.status.get("phase") == "Suspended") and all(not view.pods_of(job) for job in view.jobs)


def _delete(area: Namespace, view: View) -> None:
    area.delete(view.name)


PAUSE = (Step(_running, _suspend(True)), Step(_suspended, _suspend(False)))
QUEUE = {"queueName": "gpus"}
ADMISSION = Step(lambda view: view.told("WaitingForQueue") and len(view.jobs) > 0, _admit)


def lives() -> dict[str, Callable[[], Life]]:
    """Return a maker of each life by its name."""
    made: dict[str, dict[str, Any]] = {
        "complete": {"end": "Complete", "outcomes": (GOOD,)},
        "hasty": {"end": "Complete", "outcomes": (GOOD,), "hasty": True},
        "fail": {"end": "Failed", "outcomes": (NO_KEY,)},
        "retry": {"end": "Complete", "outcomes": (REFUSED, GOOD)},
        "exhaust": {"end": "Failed", "outcomes": (REFUSED,), "spec": {"retries": 1}},
        "suspend": {"end": "Complete", "outcomes": (GOOD,), "steps": PAUSE},
        "queue": {"end": "Complete", "outcomes": (GOOD,), "steps": (ADMISSION,), "spec": QUEUE},
        "lost-job": {"end": "Complete", "outcomes": (GOOD,), "steps": (Step(_running, _delete_job),)},
        "deleted": {"end": None, "steps": (Step(_running, _delete),), "outcomes": (GOOD,)},
        "expire": {"end": None, "outcomes": (GOOD,), "spec": {"ttlSecondsAfterFinished": 1}},
        "invalid": {"end": "Failed", "spec": {"model": {"cache": {"type": "Node"}}}},
    }
    return {name: _maker(name, fields) for name, fields in made.items()}


def _maker(name: str, fields: dict[str, Any]) -> Callable[[], Life]:
    return lambda: Life(name, **fields)


LIVES = lives()
