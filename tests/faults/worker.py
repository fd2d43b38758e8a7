"""Run lives and plans one after another, with one operator behind one proxy in one namespace."""

import json
import time
from dataclasses import dataclass, field
from pathlib import Path

from tests.faults.actions import WATCH_ACTIONS, WRITE_ACTIONS, Target, WatchFault, WriteFault
from tests.faults.actors import Actors
from tests.faults.clock import SharedClock
from tests.faults.faulty_operator import FaultyOperator, ForkServer
from tests.faults.lives import LIVES, Life, View
from tests.faults.mirror import Mirror
from tests.faults.outcome import Remains, differences, job_defects, remains
from tests.faults.plans import NONE, Plan
from tests.faults.proxy import NoFault, Proxy, Traffic
from tests.support.controlplane import ControlPlane
from tests.support.simulated_cluster import Namespace

# Seconds of real time between two looks.
TICK = 0.03
# Seconds of real time without any change after which the operator's time is let pass faster, and how fast.
PATIENCE = 0.6
FAST = 300.0
# Seconds of the operator's time within which a life must end, and after that without a write before it has settled.
LIFE_SECONDS = 900.0
SETTLED_SECONDS = 60.0
QUIET_SECONDS = 600.0
# Seconds of real time after which a life is given up. One that stands still has used up LIFE_SECONDS long before.
REAL_SECONDS = 240.0


@dataclass
class Result:
    """What came of one life. `defects` are sentences; an empty list is success."""

    plan: Plan
    hit: bool = True  # whether the moment of the fault came
    defects: list[str] = field(default_factory=list)
    remains: Remains | None = None
    traffic: Traffic | None = None
    recovery: float = 0.0  # seconds of the operator's time from the life's start to its end
    wall: float = 0.0


class Worker:
    """One operator and its namespace. Lives follow each other; a killed operator is started again, as a kubelet does."""

    def __init__(self, server: ForkServer, plane: ControlPlane, folder: Path, namespace: str) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        self._plane = plane
        self._area = Namespace(plane.api(), namespace)
        self._clock = SharedClock(folder / "clock")
        self._proxy = Proxy(plane.url)
        self._operator = FaultyOperator(server, plane, folder, self._proxy, self._clock, namespace)
        self._resources = Mirror(plane, self._area.resources)
        self._jobs = Mirror(plane, self._area.jobs)
        self._pods = Mirror(plane, self._area.pods)
        self._count = 0
        self._operator.start(ready=False)

    def close(self) -> None:
        self._operator.stop()
        self._proxy.disconnect()
        self._proxy.close()
        for mirror in (self._resources, self._jobs, self._pods):
            mirror.stop()
        self._area.api.close()

    def run(self, plan: Plan, expected: Remains | None = None) -> Result:
        """Run a life with the plan's fault and compare what is left of it with `expected`."""
        self._restart_killed()
        self._operator.await_ready()
        began, log = time.monotonic(), self._log_size()
        self._count += 1
        life, name = LIVES[plan.life](), f"r{self._count}"
        result, jobs_before = Result(plan), len(self._jobs.history)
        target = Target(self._operator, self._clock)
        traffic = self._proxy.inject(name, self._fault(plan, target))
        started = self._now()
        self._area.create(name, **life.spec)
        actors = Actors(self._area, life)
        if not self._live(life, actors, name, target):
            result.defects.append(f"the life did not end: {json.dumps(self._view(name).described())}")
        result.recovery = self._now() - started
        target.thawed.set()
        self._settle(actors, name)
        result.hit, result.traffic = target.hit or plan.kind == NONE, traffic
        result.remains = remains(self._view(name), self._events(name))
        result.defects += self._keep_quiet()
        result.defects += job_defects(name, self._jobs, jobs_before)
        result.defects += [] if expected is None else differences(expected, result.remains)
        result.defects += self._tracebacks(log)
        result.defects += [f"a cache that lags may answer {path}" for path in self._proxy.stale_reads]
        self._proxy.inject("-", NoFault())  # what follows is no part of the life
        self._remove(name)
        result.wall = time.monotonic() - began
        return result

    def _fault(self, plan: Plan, target: Target) -> NoFault:
        if plan.kind == NONE:
            return NoFault()
        if plan.kind != "watch":
            return WriteFault(plan.kind, plan.number, WRITE_ACTIONS[plan.action], target)
        return WatchFault(plan.number, WATCH_ACTIONS[plan.action], target)

    def _live(self, life: Life, actors: Actors, name: str, target: Target) -> bool:
        """Let all act until the life has ended; return whether it has."""
        deadline, real_deadline = self._now() + LIFE_SECONDS, time.monotonic() + REAL_SECONDS
        seen: object = None
        changed = time.monotonic()
        while not life.ended(view := self._view(name)):
            if self._now() > deadline or time.monotonic() > real_deadline:
                self._clock.rate = 1.0
                return False
            self._restart_killed()
            life.act(self._area, view)
            actors.act(view)
            now = (len(self._resources.history), len(self._jobs.history), len(self._pods.history), self._operator.pid)
            if now != seen:
                seen, changed = now, time.monotonic()
            if not target.held:
                waits = time.monotonic() - changed > PATIENCE and self._operator.ready
                self._clock.rate = FAST if waits else 1.0
            time.sleep(TICK)
        self._clock.rate = 1.0
        return True

    def _settle(self, actors: Actors, name: str) -> None:
        """Wait until the operator, which may just have been killed, has done all that it wants to, and collect its garbage."""
        count, since = -1, self._now()
        while self._now() - since < SETTLED_SECONDS:
            self._restart_killed()
            if len(self._proxy.writes) != count or not self._operator.ready:
                count, since = len(self._proxy.writes), self._now()
                self._clock.rate = 1.0
                time.sleep(0.1)
            actors.collect_garbage(self._view(name))
            self._clock.rate = FAST
            time.sleep(TICK)
        self._clock.rate = 1.0

    def _keep_quiet(self) -> list[str]:
        """Let QUIET_SECONDS pass and say what was written meanwhile."""
        before, until = len(self._proxy.writes), self._now() + QUIET_SECONDS
        self._clock.rate = FAST
        while self._now() < until:
            time.sleep(TICK)
        self._clock.rate = 1.0
        written = self._proxy.writes[before:]
        return [f"writes in quiet minutes: {written}"] if written else []

    def _restart_killed(self) -> None:
        if self._operator.ended:
            self._proxy.disconnect()
            self._operator.start(ready=False)

    def _now(self) -> float:
        return time.monotonic() + self._clock.ahead

    def _view(self, name: str) -> View:
        return View(name, self._resources, self._jobs, self._pods)

    def _events(self, name: str) -> list[dict[str, object]]:
        items = self._area.api.items(f"/api/v1/namespaces/{self._area.name}/events")
        return [item for item in items if item["involvedObject"]["name"] == name]

    def _log_size(self) -> int:
        return self._operator.log.stat().st_size

    def _tracebacks(self, since: int) -> list[str]:
        text = self._operator.log.read_bytes()[since:].decode(errors="replace")
        at = text.find("Traceback")
        return [] if at < 0 else [f"a traceback in the log: {text[max(0, at - 500) : at + 3000]}"]

    def _remove(self, name: str) -> None:
        """Delete what is left, so that later lives have short lists."""
        view = self._view(name)
        for job in view.jobs:
            self._area.api.delete(f"{self._area.jobs}/{job['metadata']['name']}")
            for pod in view.pods_of(job):
                self._area.api.delete(f"{self._area.pods}/{pod['metadata']['name']}")
        if view.resource is not None:
            self._area.delete(name)
