"""The deadlines of a resource over many files are of all its phases together."""

from datetime import timedelta

import pytest
from transcription_api import names
from transcription_api.report import Report
from transcription_operator.models.times import format_time

from tests.support.decisions import condition
from tests.support.kubernetes_objects import pod
from tests.support.many_files import PLAN, World, begun, ended


def active_deadline(world: World) -> int:
    return int(world.jobs[world.job().name]["spec"]["activeDeadlineSeconds"])


def test_the_transcription_has_what_the_plan_has_left_of_the_deadline() -> None:
    world = begun("plan", activeDeadlineSeconds=300)
    assert active_deadline(world) == 300
    world.play("plan")  # 60 s
    assert active_deadline(world) == 240


def test_time_of_the_plan_counts_although_no_operator_saw_it_run() -> None:
    world = World(begun("plan", activeDeadlineSeconds=300).spec)
    world.reconcile()
    job = world.jobs[world.job().name]
    world.status.pop("activeTime", None)  # the Job was started after the operator had gone
    job["status"]["startTime"] = format_time(world.now)
    world.now += timedelta(seconds=100)
    world.end_job("Complete", ended(Report(plan=PLAN)), succeeded=1)
    world.settle()
    assert world.job().phase == names.PHASE_TRANSCRIBE
    assert active_deadline(world) == 200  # 100 s were the plan's


def test_a_wait_in_a_queue_between_the_phases_does_not_count() -> None:
    world = begun("transcribe", activeDeadlineSeconds=300, queueName="gpus")
    world.now += timedelta(hours=1)
    world.settle()
    job = world.jobs[world.job().name]
    job["spec"]["suspend"] = False
    resumed = {"type": "Suspended", "status": "False", "lastTransitionTime": format_time(world.now)}
    job["status"] = {"startTime": format_time(world.now), "active": 1, "conditions": [resumed]}
    world.settle()
    assert world.parsed().failure is None
    active = world.parsed().active_time
    assert active is not None
    assert active.seconds == 60.0


def test_a_deadline_that_is_over_while_the_plan_is_made_fails_without_any_other_job() -> None:
    world = begun("plan", activeDeadlineSeconds=30)
    world.now += timedelta(seconds=31)
    world.end_job("Failed", reason="DeadlineExceeded")
    world.settle()
    assert condition(world.parsed(), "Failed").reason == "DeadlineExceeded"
    assert world.phases() == ["plan"]


def test_a_plan_that_takes_all_of_the_deadline_leaves_the_account_alone() -> None:
    world = begun("plan", activeDeadlineSeconds=60)
    world.play("plan")
    assert world.phases() == ["plan", "collect"]
    world.play("collect")
    assert condition(world.parsed(), "Failed").reason == "DeadlineExceeded"


@pytest.mark.parametrize("phase", [names.PHASE_PLAN, names.PHASE_COLLECT])
def test_a_pod_that_no_node_takes_in_time_ends_the_phases_without_a_gpu_too(phase: str) -> None:
    world = begun(phase, pendingDeadlineSeconds=30)
    world.write_job(active=1)
    world.pods[world.job().name] = (pod(meta={"creationTimestamp": format_time(world.now)}),)
    world.now += timedelta(seconds=29)
    world.settle()
    assert world.parsed().failure is None
    world.now += timedelta(seconds=2)
    world.settle()
    assert condition(world.parsed(), "Failed").reason == "PendingDeadlineExceeded"
