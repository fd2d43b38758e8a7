"""Let a test act as Job controller, scheduler and kubelet in a namespace of a bare control plane."""

import time
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any

from transcription_api import names
from transcription_api.report import DeviceUsed, ModelUsed, Report, WrittenObject, encode_report
from transcription_api.spec import Format

from tests.support.api_client import Api, Json

# The seconds that a test waits for the operator, on a machine that is busy with other things.
PATIENCE = 30.0


def now() -> str:
    return datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def good_report(**known: Any) -> Report:
    """Return a report of success for the formats json and txt; `known` replaces fields."""
    fields: dict[str, Any] = {
        "engine": "openai-whisper",
        "device": DeviceUsed(kind="cuda", name="NVIDIA H100 80GB HBM3", driver="580.65.06", cuda="13.0"),
        "model": ModelUsed("turbo", "sha256:" + "a" * 64),
        "language": "en",
        "language_probability": 0.98,
        "audio_seconds": 3723.4,
        "wall_seconds": 60.0,
        "words": 9000,
        "segments": 700,
        "objects": (WrittenObject(Format.JSON, 1000, "e1"), WrittenObject(Format.TXT, 100, "e2")),
    }
    return Report(**(fields | known))


class Namespace:
    """The TranscriptionJobs, Jobs and pods of one namespace."""

    def __init__(self, api: Api, name: str) -> None:
        self.api = api
        self.name = name
        self.resources = f"/apis/{names.GROUP}/{names.VERSION}/namespaces/{name}/{names.PLURAL}"
        self.jobs = f"/apis/batch/v1/namespaces/{name}/jobs"
        self.pods = f"/api/v1/namespaces/{name}/pods"
        api.post("/api/v1/namespaces", {"metadata": {"name": name}})

    def create(self, name: str, **spec: Any) -> Json:
        """Create a TranscriptionJob; `spec` has the field names of the manifest."""
        source = {"s3": {"bucket": "audio", "key": "interviews/01.wav"}}
        destination = {"s3": {"bucket": "transcripts", "prefix": "interviews/01/"}}
        body = {
            "apiVersion": names.API_VERSION,
            "kind": names.KIND,
            "metadata": {"name": name},
            "spec": {"source": source, "destination": destination} | spec,
        }
        return self.api.post(self.resources, body)

    def change(self, name: str, **spec: Any) -> None:
        self.api.patch(f"{self.resources}/{name}", {"spec": spec})

    def delete(self, name: str) -> None:
        self.api.delete(f"{self.resources}/{name}")

    def status(self, name: str) -> Json:
        found = self.api.get(f"{self.resources}/{name}")
        status: Json = (found or {}).get("status") or {}
        return status

    def until(self, name: str, fits: Callable[[Json], Any], what: str = "status", seconds: float = PATIENCE) -> Json:
        """Wait for a status that fits, and return it."""
        found: Json = until(lambda: _fitting(self.status(name), fits), what, seconds, lambda: self.status(name))
        return found

    def until_phase(self, name: str, phase: str) -> Json:
        return self.until(name, lambda status: status.get("phase") == phase, f"phase {phase}")

    def until_running(self, name: str, value: str, reason: str) -> Json:
        """Wait for the condition Running with this value and reason."""

        def fits(status: Json) -> bool:
            found = condition(status, "Running")
            return (found.get("status"), found.get("reason")) == (value, reason)

        return self.until(name, fits, f"Running={value} {reason}")

    def jobs_of(self, name: str) -> list[Json]:
        items = [item for item in self.api.items(self.jobs) if _owner(item) == name]
        return sorted(items, key=lambda item: int(item["metadata"]["labels"][names.LABEL_ORDINAL]))

    def job(self, name: str, ordinal: int = 1) -> Json:
        """Wait for the resource's Job of that ordinal."""

        def find() -> Json | None:
            label = str(ordinal)
            found = (item for item in self.jobs_of(name) if item["metadata"]["labels"][names.LABEL_ORDINAL] == label)
            return next(found, None)

        found: Json = until(find, f"Job {ordinal} of {name}", PATIENCE, lambda: self.status(name))
        return found

    def events(self, name: str) -> list[tuple[str, str]]:
        """Return the type and reason of the resource's events, oldest first."""
        items = [
            item
            for item in self.api.items(f"/api/v1/namespaces/{self.name}/events")
            if item["involvedObject"]["name"] == name
        ]
        items.sort(key=lambda item: int(item["metadata"]["resourceVersion"]))
        return [(item["type"], item["reason"]) for item in items]

    # The following methods act as the Job controller.

    def write_job(self, job: Json, **status: Any) -> Json:
        """Merge fields into the Job's status."""
        path = f"{self.jobs}/{job['metadata']['name']}/status"
        started = (job.get("status") or {}).get("startTime") or job["metadata"]["creationTimestamp"]
        base = {} if job["spec"].get("suspend") else {"startTime": started}
        return self.api.patch(path, {"status": base | status})

    def add_pod(self, job: Json, name: str | None = None, node: str | None = None) -> Json:
        """Create a pending pod of the Job. One that has a node stays after its deletion until `remove_pod`."""
        meta, template = job["metadata"], job["spec"]["template"]
        count = len(self.pods_of(job))
        body = {
            "metadata": {
                "name": name or f"{meta['name']}-{count}",
                "labels": template["metadata"]["labels"],
                "ownerReferences": [
                    {
                        "apiVersion": "batch/v1",
                        "kind": "Job",
                        "name": meta["name"],
                        "uid": meta["uid"],
                        "controller": True,
                    }
                ],
            },
            "spec": template["spec"] | ({"nodeName": node} if node else {}),
        }
        pod = self.api.post(self.pods, body)
        self.write_job(job, active=1)
        return pod

    def add_job_event(self, job: Json, kind: str, reason: str, message: str) -> None:
        """Create an event about the Job."""
        subject = {"kind": "Job", "name": job["metadata"]["name"], "uid": job["metadata"]["uid"]}
        body = {
            "metadata": {"generateName": f"{subject['name']}."},
            "involvedObject": {"apiVersion": "batch/v1", "namespace": self.name} | subject,
            "type": kind,
            "reason": reason,
            "message": message,
            "firstTimestamp": now(),
            "lastTimestamp": now(),
            "source": {"component": "job-controller"},
        }
        self.api.post(f"/api/v1/namespaces/{self.name}/events", body)

    def pods_of(self, job: Json) -> list[Json]:
        selector = f"batch.kubernetes.io/controller-uid%3D{job['metadata']['uid']}"
        return self.api.items(f"{self.pods}?labelSelector={selector}")

    def complete(self, job: Json) -> None:
        """Complete the Job like the Job controller, which writes both conditions at once."""
        succeeded = job["spec"]["completions"]
        listed = "0" if succeeded == 1 else f"0-{succeeded - 1}"
        indexes = {"completedIndexes": listed} if job["spec"].get("completionMode") == "Indexed" else {}
        conditions = [
            _job_condition("SuccessCriteriaMet", "CompletionsReached"),
            _job_condition("Complete", "CompletionsReached"),
        ]
        done = {"succeeded": succeeded, "completionTime": now()} | indexes
        self.write_job(job, active=0, ready=0, conditions=conditions, **done)

    def fail(self, job: Json, reason: str, failed: int = 1, message: str = "") -> None:
        conditions = [_job_condition("FailureTarget", reason, message), _job_condition("Failed", reason, message)]
        self.write_job(job, active=0, ready=0, failed=failed, conditions=conditions)

    # The following methods act as the scheduler and the kubelet.

    def run_pod(self, job: Json, pod: Json, ip: str = "127.0.0.1") -> None:
        """Let the worker's container run."""
        state = {"running": {"startedAt": now()}}
        self.write_pod(pod, phase="Running", podIP=ip, podIPs=[{"ip": ip}], containerStatuses=[_container(state)])
        self.write_job(job, active=1, ready=1)

    def end_pod(
        self,
        pod: Json,
        exit_code: int,
        report: Report | str | None = None,
        reason: str | None = None,
        sidecar: str | None = None,
    ) -> None:
        """Let the worker's container end; the report, or a text as it is, is its termination message. A sidecar of that name goes on."""
        began = self._started(pod)
        ended = {"exitCode": exit_code, "startedAt": began, "finishedAt": now()}
        ended["reason"] = reason or ("Completed" if exit_code == 0 else "Error")
        if report is not None:
            ended["message"] = report if isinstance(report, str) else encode_report(report).decode()
        phase = "Succeeded" if exit_code == 0 else "Failed"
        containers = [_container({"terminated": ended})]
        if sidecar is not None:
            phase = "Running"
            containers.append(_container({"running": {"startedAt": began}}, sidecar))
        self.write_pod(pod, phase=phase, containerStatuses=containers)

    def delete_pod(self, job: Json, pod: Json) -> None:
        """Delete the pod as a drain does: it terminates until the kubelet says that it has ended."""
        self.api.delete(f"{self.pods}/{pod['metadata']['name']}")
        self.write_job(job, active=0, ready=0, terminating=1)

    def remove_pod(self, job: Json, pod: Json) -> None:
        """Remove a terminating pod like the kubelet, or like the garbage collector once its node is gone."""
        self.api.request("DELETE", f"{self.pods}/{pod['metadata']['name']}", {"gracePeriodSeconds": 0})
        self.write_job(job, terminating=0)

    def write_pod(self, pod: Json, **status: Any) -> None:
        self.api.patch(f"{self.pods}/{pod['metadata']['name']}/status", {"status": status})

    def attempt(self, name: str, exit_code: int, report: Report | str | None, ordinal: int = 1, **end: Any) -> Json:
        """Let one pod start, run until the operator notices, and end; return the Job."""
        job = self.job(name, ordinal)
        pod = self.add_pod(job)
        self.run_pod(job, pod)
        self.until_running(name, "True", "WorkerRunning")
        self.end_pod(pod, exit_code, report, **end)
        return job

    def _started(self, pod: Json) -> str:
        found = self.api.get(f"{self.pods}/{pod['metadata']['name']}") or {}
        for status in found.get("status", {}).get("containerStatuses") or ():
            started = status["state"].get("running", {}).get("startedAt")
            if started:
                return str(started)
        return now()


def condition(status: Json, kind: str) -> Json:
    found: Json = next((item for item in status.get("conditions") or () if item["type"] == kind), {})
    return found


def until(find: Callable[[], Any], what: str, seconds: float, last: Callable[[], Any] = lambda: None) -> Any:
    """Wait for a true value. The TimeoutError names what was waited for and shows what was there instead."""
    deadline = time.monotonic() + seconds
    while not (found := find()):
        if time.monotonic() > deadline:
            raise TimeoutError(f"waited {seconds:.0f} s for {what}; last seen: {last()}")
        time.sleep(0.03)
    return found


def _fitting(status: Json, fits: Callable[[Json], Any]) -> Json | None:
    return status if status and fits(status) else None


def _owner(item: Json) -> str | None:
    return next((ref["name"] for ref in item["metadata"].get("ownerReferences") or ()), None)


def _job_condition(kind: str, reason: str, message: str = "") -> Json:
    at = now()
    return {
        "type": kind,
        "status": "True",
        "reason": reason,
        "message": message,
        "lastProbeTime": at,
        "lastTransitionTime": at,
    }


def _container(state: Json, name: str = names.CONTAINER_NAME) -> Json:
    return {
        "name": name,
        "image": "worker:test",
        "imageID": "",
        "ready": "running" in state,
        "restartCount": 0,
        "state": state,
    }
