"""A sample of `make test-faults`, another one for each commit: some lives, and a fault at some moments of them."""

import json
from collections.abc import Iterator
from pathlib import Path

import pytest
from transcription_api.spec import parse_spec
from transcription_operator.manifests.job import render_job
from transcription_operator.models.objects import view_resource

from tests.faults.actors import Actors
from tests.faults.lives import LIVES, View
from tests.faults.mirror import Mirror
from tests.faults.plans import SEED, sample
from tests.faults.rights import grant_leases
from tests.faults.run import pool, possible_plans
from tests.support.controlplane import ControlPlane, control_plane
from tests.support.kubernetes_objects import config
from tests.support.operator_process import ACCOUNT, grant_rights
from tests.support.seeds import seed_of_run
from tests.support.simulated_cluster import PATIENCE, Namespace, until

# Chosen for some 20 seconds on two cores. No time limit depends on the machine: a life may take minutes.
LIVES_OF_A_SAMPLE = 2
PLANS_OF_A_SAMPLE = 8
OPERATORS = 6


@pytest.fixture(scope="module")
def plane(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ControlPlane]:
    with control_plane(tmp_path_factory.mktemp("plane"), {ACCOUNT: ACCOUNT}, audit=False) as started:
        grant_rights(started)
        grant_leases(started)
        yield started


def test_a_fault_at_any_moment_of_a_life_loses_nothing(plane: ControlPlane, tmp_path: Path) -> None:
    seed = seed_of_run(SEED)
    print(f"FAULTS_SEED={seed}")
    with pool(plane, tmp_path, OPERATORS) as workers:
        learnt = workers.learn(sample(sorted(LIVES), LIVES_OF_A_SAMPLE, seed))
        possible = [plan for result in learnt for plan in possible_plans(result)]
        results = workers.run(sample(sorted(possible, key=str), PLANS_OF_A_SAMPLE, seed))
    for result in results:
        print(f"{result.plan}: {result.wall:.1f} s{'' if result.hit else ', and its moment did not come'}")
    lost = [f"make test-faults PLANS={result.plan}: {result.defects}" for result in learnt + results if result.defects]
    assert not lost, "\n".join(lost)
    assert sum(result.hit for result in results) > len(results) / 2


def test_the_simulated_kubelet_starts_one_pod_however_late_it_sees_it(plane: ControlPlane) -> None:
    area = Namespace(plane.api(), "late")
    life, mirrors = LIVES["hasty"](), [Mirror(plane, path) for path in (area.resources, area.jobs, area.pods)]
    owner = view_resource(area.create("one"))
    area.api.post(area.jobs, render_job(owner, parse_spec(json.loads(owner.spec_json)), 1, config()))
    until(lambda: mirrors[0].objects and mirrors[1].objects, "the resource and its Job", PATIENCE)
    late = View("one", *mirrors)
    life.act(area, late)
    for _ in range(3):
        Actors(area, life).act(late)
    assert len(area.pods_of(late.jobs[0])) == 1
    for mirror in mirrors:
        mirror.stop()
    area.api.close()


def test_the_simulated_garbage_collector_deletes_no_job_whose_resource_it_sees_later(plane: ControlPlane) -> None:
    api, life = plane.api(), LIVES["hasty"]()
    area = Namespace(api, "early")
    owner = view_resource(area.create("one"))
    api.post(area.jobs, render_job(owner, parse_spec(json.loads(owner.spec_json)), 1, config()))
    jobs, none = Mirror(plane, area.jobs), Mirror(plane, area.pods)
    early = View("one", none, jobs, none)  # which shows no resource
    assert len(early.jobs) == 1
    life.act(area, early)
    Actors(area, life).act(early)
    assert len(area.jobs_of("one")) == 1
    jobs.stop()
    none.stop()
    api.close()
