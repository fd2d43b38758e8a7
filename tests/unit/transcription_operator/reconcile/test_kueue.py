"""With Kueue only the transcription is queued; what Kueue suspends, resumes or makes smaller stays as Kueue left it."""

import pytest
from transcription_api import names
from transcription_api.status import Phase
from transcription_operator.models.times import format_time

from tests.support.decisions import condition
from tests.support.many_files import World, begun, running

PHASES = list(names.PHASES)


def suspend(world: World) -> None:
    """Suspend the Job as Kueue does by its webhook, and as the Job controller then tells."""
    stored, at = world.jobs[world.job().name], format_time(world.now)
    stored["spec"]["suspend"] = True
    condition = {"type": "Suspended", "status": "True", "reason": "JobSuspended", "lastTransitionTime": at}
    stored["status"] = {"conditions": [condition]}
    world.settle()


def admit(world: World, parallelism: int | None = None) -> None:
    """Resume the Job as Kueue does, with fewer pods where its quota has no room for all."""
    stored, at = world.jobs[world.job().name], format_time(world.now)
    stored["spec"] |= {"suspend": False} | ({"parallelism": parallelism} if parallelism else {})
    condition = {"type": "Suspended", "status": "False", "reason": "JobResumed", "lastTransitionTime": at}
    stored["status"] = {"startTime": at, "conditions": [condition]}
    world.settle()


@pytest.mark.parametrize("phase", PHASES)
def test_where_kueue_manages_jobs_without_a_queue_each_phase_waits_for_it_and_says_so(phase: str) -> None:
    world = begun(phase)
    suspend(world)
    world.queue_reason = "the workload has no queue name"
    world.settle()
    told = condition(world.parsed(), "Suspended")
    assert (world.parsed().phase, told.reason) == (Phase.PENDING, "WaitingForQueue")
    assert "suspended by somebody else, such as a queue" in told.message
    assert told.message.endswith("; the workload has no queue name")
    assert world.plan.requeue_after_seconds is not None
    assert world.job().suspended
    admit(world)
    world.play(phase)
    assert world.phases()[: PHASES.index(phase) + 1] == PHASES[: PHASES.index(phase) + 1]


def test_fewer_pods_than_were_asked_for_are_left_to_kueue() -> None:
    world = begun("transcribe", queueName="gpus")
    admit(world, parallelism=2)
    world.write_job(active=2, ready=2)
    world.pods[world.job().name] = (running(1), running(2))
    world.settle()
    assert (world.job().parallelism, world.writes.count("scale")) == (2, 0)
    assert condition(world.parsed(), "Running").message.startswith("2 of 2 pods run")


def test_an_eviction_and_an_admission_with_fewer_pods_change_nothing_of_ours() -> None:
    world = begun("transcribe", queueName="gpus")
    admit(world)
    name = world.job().name
    suspend(world)
    admit(world, parallelism=1)
    assert (world.job().name, world.job().parallelism, world.writes.count("scale")) == (name, 1, 0)


def test_another_number_in_the_spec_is_written_once_and_what_kueue_makes_of_it_stays() -> None:
    world = begun("transcribe", queueName="gpus")
    admit(world, parallelism=2)
    world.spec["parallelism"] = 8
    world.settle()
    assert (world.job().parallelism, world.writes.count("scale")) == (8, 1)
    admit(world, parallelism=3)
    assert (world.job().parallelism, world.writes.count("scale")) == (3, 1)


def test_without_a_queue_a_number_that_somebody_changed_is_the_specs_again() -> None:
    world = begun("transcribe")
    world.jobs[world.job().name]["spec"]["parallelism"] = 1
    world.settle()
    assert world.job().parallelism == 4


def test_pausing_keeps_the_job_and_with_it_the_shards_that_are_done() -> None:
    world = begun("transcribe")
    world.write_job(succeeded=3, completedIndexes="0-2")
    name = world.job().name
    for suspended in (True, False):
        world.spec["suspend"] = suspended
        world.settle()
        assert (world.job().name, world.job().suspended, world.job().succeeded) == (name, suspended, 3)


def test_pausing_in_a_queue_makes_another_job_whose_pods_find_in_s3_what_is_done() -> None:
    world = begun("transcribe", queueName="gpus")
    admit(world)
    name = world.job().name
    world.spec["suspend"] = True
    world.settle()
    assert world.phases() == ["plan"]
    world.spec["suspend"] = False
    world.settle()
    assert (world.job().phase, world.job().name == name, world.job().suspended) == ("transcribe", False, True)
