"""Act as Job controller, kubelet and garbage collector for one resource: whatever they see, they do what comes next.

By default each step waits until the operator has told the last one in the status, so that a life has the same writes each
time. A hasty life waits for nothing.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from transcription_api import exit_codes

from tests.faults.lives import Life, View
from tests.support.api_client import Json, RefusedError
from tests.support.simulated_cluster import Namespace, now


class Actors:
    """The other programs of a cluster, for the resource of one life."""

    def __init__(self, area: Namespace, life: Life) -> None:
        self._area = area
        self._life = life

    def act(self, view: View) -> None:
        """Do what is next. What was seen may be out of date: then the write is refused, and made anew next time."""
        self.collect_garbage(view)
        with _out_of_date():
            for job in view.jobs:
                self._control(view, job)

    def collect_garbage(self, view: View) -> None:
        """Delete the Jobs whose resource is gone, and the pods whose Job is gone."""
        if not self._life.born:  # a Job may be seen before its resource
            return
        with _out_of_date():
            for job in view.jobs:
                if view.resource is None or view.resource["metadata"]["uid"] != view.owner(job):
                    self._area.api.delete(f"{self._area.jobs}/{job['metadata']['name']}")
            for pod in view.orphans():
                self._area.api.delete(f"{self._area.pods}/{pod['metadata']['name']}")

    def _control(self, view: View, job: Json) -> None:
        status, pods = job.get("status") or {}, view.pods_of(job)
        if "deletionTimestamp" in job["metadata"] or view.outcome(job) is not None:
            return
        if job["spec"].get("suspend"):
            self._suspend(job, pods)
        elif _condition(job, "Suspended") == "True":
            resumed = _job_condition("Suspended", "False", "JobResumed")
            self._area.write_job(job, startTime=now(), conditions=[resumed])
        elif self._counted(job, pods, int(status.get("failed") or 0)):
            self._advance(view, job, pods)

    def _suspend(self, job: Json, pods: list[Json]) -> None:
        for pod in pods:
            if not _ended(pod):
                self._area.api.delete(f"{self._area.pods}/{pod['metadata']['name']}")
        if _condition(job, "Suspended") != "True":
            suspended = _job_condition("Suspended", "True", "JobSuspended")
            self._area.write_job(job, active=0, ready=0, startTime=None, conditions=[suspended])

    def _counted(self, job: Json, pods: list[Json], failed: int) -> bool:
        """Count the pods that have ended, as the Job controller does. Return whether there is nothing new to count."""
        ended = [pod for pod in pods if _ended(pod)]
        failures = [pod for pod in ended if pod["status"]["phase"] == "Failed"]
        if len(ended) > len(failures):
            self._area.complete(job)
        elif len(failures) > failed:
            self._count_failure(job, failures)
        else:
            return True
        return False

    def _count_failure(self, job: Json, failures: list[Json]) -> None:
        code = _exit_code(failures[-1])
        if code in exit_codes.PERMANENT:
            message = f"exit code {code} matching FailJob rule at index 1"
            self._area.fail(job, "PodFailurePolicy", failed=len(failures), message=message)
        elif len(failures) > job["spec"]["backoffLimit"]:
            self._area.fail(job, "BackoffLimitExceeded", failed=len(failures), message="backoff limit reached")
        else:
            self._area.write_job(job, active=0, ready=0, failed=len(failures))

    def _advance(self, view: View, job: Json, pods: list[Json]) -> None:
        """Create the next pod, or let the newest one start or end."""
        pod = pods[-1] if pods and not _ended(pods[-1]) else None
        if pod is None:
            if self._told(view, job, "Retrying" if pods else "WaitingForPod", ""):
                # By what was seen, so that a pod that is not seen yet is refused and not made twice.
                self._area.add_pod(job, f"{job['metadata']['name']}-{len(pods)}")
        elif not (job.get("status") or {}).get("active"):
            self._area.write_job(job, active=1)
        elif pod["status"]["phase"] == "Pending":
            if self._told(view, job, "", pod["metadata"]["name"]):
                self._area.run_pod(job, pod, ip="127.9.9.9")  # nobody listens there
        elif self._life.may_end(view) and self._told(view, job, "WorkerRunning", pod["metadata"]["name"]):
            outcome = self._life.outcomes[min(len(pods), len(self._life.outcomes)) - 1]
            self._area.end_pod(pod, outcome.exit_code, outcome.report)

    def _told(self, view: View, job: Json, reason: str, part: str) -> bool:
        """Whether the status refers to this Job, and tells of this reason and this part of a message."""
        if self._life.hasty:
            return True
        running = view.condition("Running")
        named = (view.status.get("jobRef") or {}).get("uid") == job["metadata"]["uid"]
        return named and reason in ("", running.get("reason")) and part in running.get("message", "")


@contextmanager
def _out_of_date() -> Iterator[None]:
    """Let the apiserver refuse what rests on a view that is out of date."""
    try:
        yield
    except RefusedError as error:
        if error.status not in (404, 409, 422):
            raise


def _ended(pod: Json) -> bool:
    return pod["status"].get("phase") in ("Succeeded", "Failed")


def _exit_code(pod: Json) -> int:
    [container] = pod["status"]["containerStatuses"]
    return int(container["state"]["terminated"]["exitCode"])


def _condition(job: Json, kind: str) -> str | None:
    conditions = (job.get("status") or {}).get("conditions") or ()
    return next((item["status"] for item in conditions if item["type"] == kind), None)


def _job_condition(kind: str, status: str, reason: str) -> dict[str, Any]:
    at = now()
    return {"type": kind, "status": status, "reason": reason, "lastProbeTime": at, "lastTransitionTime": at}
