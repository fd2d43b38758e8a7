"""A resource over many files, with its Jobs and pods, for unit tests of the operator's decisions.

`World` keeps what the apiserver would, carries plans out as the operator does, and lets it crash after any write.
"""

import dataclasses
from datetime import datetime, timedelta
from typing import Any

from transcription_api import exit_codes, names
from transcription_api.codec import to_json
from transcription_api.report import FileCounts, PlanSummary, ReasonCount, Report, encode_report
from transcription_api.status import Status
from transcription_operator.config import Config
from transcription_operator.models.nodes import NodeView
from transcription_operator.models.objects import JobView, PodView, view_job
from transcription_operator.models.times import format_time
from transcription_operator.reconcile.decide import decide
from transcription_operator.reconcile.observed_state import ObservedProgress, ObservedState
from transcription_operator.reconcile.phases import current_job
from transcription_operator.reconcile.plan import Plan
from transcription_operator.reconcile.stored_status import parse_status

from tests.support.decisions import NOW
from tests.support.kubernetes_objects import config, observed_state, pod, resource

MANY: dict[str, Any] = {
    "source": {"s3": {"bucket": "audio", "prefix": "calls/"}},
    "destination": {"s3": {"bucket": "transcripts", "prefix": "out/"}},
    "parallelism": 4,
}
PLAN = PlanSummary(files=105, to_transcribe=100, shards=10, reused=3, refused=2, skipped=7, audio_seconds=36_000.0)
ACCOUNT = FileCounts(total=105, done=100, reused=3, failed=2, skipped=7, by_reason=(ReasonCount("NoSuchKey", 2),))


def ended(report: Report | None, code: int = exit_codes.OK, number: int = 0, **status: Any) -> PodView:
    """Return a pod that left this report."""
    message = encode_report(report).decode() if report is not None else ""
    times = {"startedAt": format_time(NOW), "finishedAt": format_time(NOW)}
    state = {"terminated": {"exitCode": code, "message": message, **times}}
    return pod(
        state, {"name": f"pod-{number}", "uid": f"uid-{number}"}, phase="Failed" if code else "Succeeded", **status
    )


def running(number: int, **meta: Any) -> PodView:
    """Return a pod whose worker runs."""
    state = {"running": {"startedAt": format_time(NOW)}}
    known = {"name": f"pod-{number}", "uid": f"uid-{number}"}
    return pod(state, known | meta, phase="Running", podIP=f"10.0.0.{number % 250 + 1}")


@dataclasses.dataclass
class World:
    """The stored state of one resource over many files.

    Attributes:
        writes: What the operator has written so far: "create", "status" and so on.
        crash_after: The operator ends after so many writes more, so that the rest of its plan is not carried out.
    """

    spec: dict[str, Any] = dataclasses.field(default_factory=lambda: dict(MANY))
    now: datetime = NOW
    status: dict[str, Any] = dataclasses.field(default_factory=dict)
    jobs: dict[str, dict[str, Any]] = dataclasses.field(default_factory=dict)
    pods: dict[str, tuple[PodView, ...]] = dataclasses.field(default_factory=dict)
    progress: tuple[ObservedProgress, ...] = ()
    writes: list[str] = dataclasses.field(default_factory=list)
    events: list[str] = dataclasses.field(default_factory=list)
    crash_after: int = 1_000_000
    plan: Plan = dataclasses.field(default_factory=Plan)
    rejection: Any = None
    queue_reason: str | None = None
    nodes: tuple[NodeView, ...] | None = None
    settings: Config = dataclasses.field(default_factory=config)

    def parsed(self) -> Status:
        return self.observe().status

    def views(self) -> tuple[JobView, ...]:
        return tuple(sorted((view_job(body) for body in self.jobs.values()), key=lambda job: job.ordinal))

    def phases(self) -> list[str | None]:
        """Return the phase of each Job, in their order."""
        return [job.phase for job in self.views()]

    def job(self) -> JobView:
        """Return the Job of the current phase."""
        found = self.observe().job
        assert found is not None
        return found

    def observe(self) -> ObservedState:
        owner = resource(self.spec, self.status, generation=1)
        status, jobs = parse_status(owner.status_json), self.views()
        job = current_job(owner, status, jobs)
        pods = self.pods.get(job.name, ()) if job is not None else ()
        return observed_state(
            owner,
            job=job,
            jobs=jobs,
            pods=pods,
            pod_progress=self.progress,
            rejection=self.rejection,
            queue_reason=self.queue_reason,
            nodes=self.nodes,
        )

    def reconcile(self) -> None:
        """Observe, decide and apply until the status is written, or the operator crashes."""
        for _ in range(4):
            self.plan = decide(self.observe(), self.settings, self.now)
            if self.plan.create_job is not None:
                self._create(self.plan.create_job)
            elif self.plan.scale_job is not None:
                job, parallelism = self.plan.scale_job
                self.jobs[job.name]["spec"]["parallelism"] = parallelism
                self.jobs[job.name]["metadata"]["annotations"][names.ANNOTATION_PARALLELISM] = str(parallelism)
                self.events += [event.reason for event in self.plan.events]
                self._wrote("scale")
            elif self.plan.suspend_job is not None:
                self._suspend(*self.plan.suspend_job)
            else:
                self._finish(self.plan)
                return

    def settle(self, rounds: int = 8) -> None:
        """Reconcile as the queue would until nothing is written. A crash is followed by the next start."""
        for _ in range(rounds):
            before = len(self.writes)
            try:
                self.reconcile()
            except CrashError:
                continue
            if len(self.writes) == before:
                return

    def _create(self, manifest: dict[str, Any]) -> None:
        name = manifest["metadata"]["name"]
        assert name not in self.jobs
        meta = manifest["metadata"] | {"uid": name, "resourceVersion": "9", "creationTimestamp": format_time(self.now)}
        self.jobs[name] = manifest | {"metadata": meta, "status": {"startTime": format_time(self.now)}}
        if manifest["spec"].get("suspend"):
            self.jobs[name]["status"] = {}
        self._wrote("create")

    def _suspend(self, job: JobView, suspend: bool) -> None:
        stored = self.jobs[job.name]
        stored["spec"]["suspend"] = suspend
        stored["metadata"]["annotations"].pop(names.ANNOTATION_SUSPENDED, None)
        if suspend:
            stored["metadata"]["annotations"][names.ANNOTATION_SUSPENDED] = "true"
        self._wrote("suspend")

    def _finish(self, plan: Plan) -> None:
        if plan.status is not None:
            self.status = to_json(plan.status)
            self._wrote("status")
            self.events += [event.reason for event in plan.events]
        for job in plan.delete_jobs:
            self.jobs.pop(job.name)
            self._wrote("delete")

    def _wrote(self, what: str) -> None:
        self.writes.append(what)
        self.crash_after -= 1
        if self.crash_after == 0:
            raise CrashError

    def write_job(self, **status: Any) -> None:
        """Change the status of the current phase's Job, as the Job controller does."""
        job = self.jobs[self.job().name]
        job["status"] = job["status"] | status

    def end_job(self, kind: str, *pods: PodView, reason: str = "", **status: Any) -> None:
        """End the current phase's Job as Complete or Failed, and leave these pods."""
        self.pods[self.job().name] = pods
        at = format_time(self.now)
        done = {"type": kind, "status": "True", "reason": reason, "message": reason, "lastTransitionTime": at}
        self.write_job(conditions=[done], active=0, **status)

    def play(self, phase: str, plan: PlanSummary = PLAN, account: FileCounts = ACCOUNT) -> None:
        """Let the current Job, which must be of this phase, end well, and the operator see it."""
        assert self.job().phase == phase
        self.now += timedelta(seconds=60)
        if phase == names.PHASE_PLAN:
            self.end_job("Complete", ended(Report(plan=plan)), succeeded=1)
        elif phase == names.PHASE_TRANSCRIBE:
            self.end_job("Complete", succeeded=plan.shards)
        else:
            report = Report(files=account, audio_seconds=36_000.0, wall_seconds=3600.0, words=5)
            self.end_job("Complete", ended(report), succeeded=1)
        self.settle()


class CrashError(Exception):
    """The operator has ended between two writes."""


def begun(phase: str, **spec: Any) -> World:
    """Return a world in which the Job of this phase has just been created."""
    world = World(MANY | spec)
    world.settle()
    for earlier in names.PHASES[: names.PHASES.index(phase)]:
        world.play(earlier)
    assert world.job().phase == phase
    return world
