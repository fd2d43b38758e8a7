"""Resources come to the same end with killed operators, several operators or an apiserver that goes away."""

import random
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from transcription_api import exit_codes, reasons
from transcription_api.report import failure
from transcription_operator.cluster.connection import REQUEST_TIMEOUT_SECONDS

from tests.support.controlplane import ControlPlane, control_plane
from tests.support.operator_process import ACCOUNT, Operator, grant_rights, running_operator
from tests.support.simulated_cluster import Namespace, good_report, until

# The number of resources of one crash test. `make test-faults` kills the operator at each write and watch event.
COUNT = 4
KILLS = 5
# Seconds: longer than the operator waits for a response.
FROZEN_SECONDS = REQUEST_TIMEOUT_SECONDS + 2
# The settings of the operators, of which each test starts its own.
SETTINGS: dict[str, Any] = {"resync_seconds": 20}


@pytest.fixture(scope="module")
def bare(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ControlPlane]:
    """Yield a control plane of its own, which may be frozen and restarted."""
    with control_plane(tmp_path_factory.mktemp("bare"), {ACCOUNT: ACCOUNT}) as started:
        grant_rights(started)
        yield started


@pytest.fixture
def area(bare: ControlPlane, request: pytest.FixtureRequest) -> Iterator[Namespace]:
    api = bare.api()
    lease = "/apis/coordination.k8s.io/v1/namespaces/default/leases/transcription-operator"
    if api.get(lease) is not None:
        api.delete(lease)  # a killed operator's
    yield Namespace(api, f"crash-{abs(hash(request.node.name)) % 10**8}")
    api.close()


def play(area: Namespace, name: str) -> None:
    """Take one resource to Complete with one retry; each step waits until an operator has reported the last one."""
    area.create(name)
    job = area.attempt(name, exit_codes.UNREACHABLE, failure(reasons.ENDPOINT_UNREACHABLE, "refused"))
    area.write_job(job, active=0, ready=0, failed=1)
    area.until_running(name, "False", "Retrying")
    area.attempt(name, exit_codes.OK, good_report())
    area.write_job(job, failed=1)
    area.complete(job)


class Killer(threading.Thread):
    """Kills the operator again and again, up to a second and a half after it got ready."""

    def __init__(self, operator: Operator) -> None:
        super().__init__()
        self._operator = operator
        self._enough = threading.Event()
        self.kills = 0

    def run(self) -> None:
        chance = random.Random(7)
        while not (self._enough.is_set() and self.kills >= KILLS):
            time.sleep(chance.uniform(0.0, 1.5))
            self._operator.kill()
            self.kills += 1
            self._operator.start()

    def stop(self) -> None:
        self._enough.set()
        self.join()


def test_an_operator_killed_at_random_moments_ends_with_one_job_each_and_the_same_status(
    bare: ControlPlane, area: Namespace, tmp_path: Path
) -> None:
    operator = Operator(bare, tmp_path / "operator.log", **SETTINGS)
    operator.start()
    killer = Killer(operator)
    killer.start()
    try:
        for number in range(COUNT):
            play(area, f"job-{number}")
    finally:
        killer.stop()
    # Let the last operator do its work too. What it writes when it is stopped does not count, where Kopf may tell of watches.
    play(area, f"job-{COUNT}")
    statuses = [area.until_phase(f"job-{number}", "Complete") for number in range(COUNT + 1)]
    text = operator.log.read_text()
    operator.stop()
    for number, status in enumerate(statuses):
        assert len(area.jobs_of(f"job-{number}")) == 1
        assert (status["jobRef"]["ordinal"], status["attempt"]) == (1, 2)
    assert len({tuple(sorted(status)) for status in statuses}) == 1  # the same fields, whenever the kill came
    assert "Traceback" not in text


def test_an_operator_started_anew_writes_nothing_for_what_is_settled(
    bare: ControlPlane, area: Namespace, tmp_path: Path
) -> None:
    log = tmp_path / "operator.log"
    # Nobody answers for the worker, which would be told after three polls.
    settings = SETTINGS | {"progress_seconds": 600}
    with running_operator(bare, log, **settings):
        for name in ("done", "waiting", "running", "refused"):
            spec = {"model": {"cache": {"type": "Node"}}} if name == "refused" else {}
            area.create(name, **spec)
        area.complete(area.attempt("done", exit_codes.OK, good_report()))
        job = area.job("running")
        area.run_pod(job, area.add_pod(job), ip="127.9.9.9")
        area.until_running("running", "True", "WorkerRunning")
        area.until_phase("done", "Complete")
        area.until_phase("refused", "Failed")
        area.until_running("waiting", "False", "WaitingForPod")
        time.sleep(1)  # the last events
    before = writes(bare, area)
    with running_operator(bare, log, **settings) as operator:
        until(lambda: operator.metric("transcription_leading") == 1, "leadership", 60)
        time.sleep(4)
    assert writes(bare, area) == before


def test_a_second_replica_takes_over_when_the_first_is_killed_and_only_one_acts(
    bare: ControlPlane, area: Namespace, tmp_path: Path
) -> None:
    first = Operator(bare, tmp_path / "first.log", **SETTINGS)
    second = Operator(bare, tmp_path / "second.log", **SETTINGS)
    try:
        first.start()
        until(lambda: first.metric("transcription_leading") == 1, "the first to lead", 60)
        second.start()
        area.create("before")
        area.until_running("before", "False", "WaitingForPod")
        assert second.metric("transcription_leading") == 0
        assert second.metric("transcription_reconcile_seconds_count") == 0
        first.kill()
        area.create("after")
        area.until_running("after", "False", "WaitingForPod")
        assert second.metric("transcription_leading") == 1
    finally:
        first.kill()
        second.stop()
    assert len(area.jobs_of("before")) == len(area.jobs_of("after")) == 1


def test_a_leader_that_sleeps_through_its_lease_ends_itself_instead_of_writing(
    bare: ControlPlane, area: Namespace, tmp_path: Path
) -> None:
    first = Operator(bare, tmp_path / "first.log", **SETTINGS)
    second = Operator(bare, tmp_path / "second.log", **SETTINGS)
    try:
        first.start()
        until(lambda: first.metric("transcription_leading") == 1, "the first to lead", 60)
        second.start()
        first.freeze()
        until(lambda: second.metric("transcription_leading") == 1, "the second to lead", 60)
        first.thaw()
        assert first.wait(60) == 1
        area.create("once")
        area.until_running("once", "False", "WaitingForPod")
    finally:
        first.kill()
        second.stop()
    assert "lease" in first.log.read_text()
    assert len(area.jobs_of("once")) == 1


def test_a_leader_that_is_told_to_stop_gives_the_lease_back(
    bare: ControlPlane, area: Namespace, tmp_path: Path
) -> None:
    options = SETTINGS | {"lease_seconds": 60}
    first = Operator(bare, tmp_path / "first.log", **options)
    first.start()
    until(lambda: first.metric("transcription_leading") == 1, "the first to lead", 60)
    assert first.stop() == 0
    with running_operator(bare, tmp_path / "second.log", **options) as second:
        until(lambda: second.metric("transcription_leading") == 1, "the second to lead at once", 60)


def test_an_apiserver_frozen_for_longer_than_a_request_may_take_changes_nothing_in_the_end(
    bare: ControlPlane, area: Namespace, tmp_path: Path
) -> None:
    options = SETTINGS | {"lease_seconds": 60}
    with running_operator(bare, tmp_path / "operator.log", **options) as operator:
        until(lambda: operator.metric("transcription_leading") == 1, "leadership", 60)
        area.create("through")
        job = area.job("through")
        with bare.frozen_apiserver():
            time.sleep(FROZEN_SECONDS)
        area.api.close()
        pod = area.add_pod(job)
        area.run_pod(job, pod)
        area.until_running("through", "True", "WorkerRunning")
        area.create("later")
        area.job("later")
        assert operator.get("/healthz")[0] == 200
    assert len(area.jobs_of("through")) == 1


def test_an_apiserver_that_restarts_is_found_again(bare: ControlPlane, area: Namespace, tmp_path: Path) -> None:
    options = SETTINGS | {"lease_seconds": 60}
    with running_operator(bare, tmp_path / "operator.log", **options) as operator:
        until(lambda: operator.metric("transcription_leading") == 1, "leadership", 60)
        area.create("old")
        job = area.job("old")
        bare.stop_apiserver()
        time.sleep(3)
        bare.start_apiserver()
        area.api.close()
        area.create("new")
        area.job("new")
        pod = area.add_pod(job)
        area.run_pod(job, pod)
        area.until_running("old", "True", "WorkerRunning")
        assert operator.get("/readyz")[0] == 200


def writes(bare: ControlPlane, area: Namespace) -> int:
    """Return the operator's writes in the namespace so far."""
    return sum(
        entry["user"]["username"] == ACCOUNT and entry["objectRef"].get("namespace") == area.name
        for entry in bare.audited()
    )
