"""While many pods transcribe, the status tells how far they are together, and is written only so often."""

import dataclasses
from datetime import timedelta
from typing import Any

import pytest
from transcription_api import exit_codes, reasons
from transcription_api.report import DeviceUsed, FileCounts, PlanSummary, Progress, Report, failure
from transcription_api.status import Phase
from transcription_operator.models.times import format_time
from transcription_operator.reconcile.observed_state import ObservedProgress
from transcription_operator.reconcile.shards import MAX_POLLED

from tests.support.decisions import NOW, condition
from tests.support.kubernetes_objects import pod
from tests.support.many_files import PLAN, World, begun, ended, running

# The most writes of a run of an hour, events and Jobs included.
MOST_WRITES = 200


def answers(*progress: Progress) -> tuple[ObservedProgress, ...]:
    return tuple(ObservedProgress(item, format_time(NOW)) for item in progress)


def transcribing(pods: int = 4, succeeded: int = 2, seconds: int = 600, **spec: Any) -> World:
    """Return a world in which the pods have run for so many seconds, each half through its shard of 3,600 s of audio."""
    world = begun("transcribe", **spec)
    world.now += timedelta(seconds=seconds)
    world.pods[world.job().name] = tuple(running(number) for number in range(pods))
    world.write_job(active=pods, ready=pods, succeeded=succeeded)
    half = Progress("transcribe", 1800.0, 3600.0, files_done=4, files_failed=1, device=DeviceUsed("cuda", "NVIDIA L4"))
    world.progress = answers(*[half] * pods)
    return world


def test_the_pods_are_shown_together_with_their_speed_and_the_time_that_is_left() -> None:
    world = transcribing()
    world.settle()
    status = world.parsed()
    assert (status.phase, status.active_pods) == (Phase.RUNNING, 4)
    assert condition(status, "Running").message == "4 of 4 pods run; 2 of 10 shards ended"
    # 2 shards of 3,600 s and 4 halves in 600 s; 20 files and 4 times 4.
    assert status.files == FileCounts(total=105, done=36, reused=3, failed=2 + 4, skipped=7)
    assert status.files_done == "39/105"
    assert status.progress is not None
    assert (status.progress.percent, status.progress.seconds_done, status.progress.seconds_total) == (
        40,
        14_400,
        36_000,
    )
    assert (status.rtfx, status.progress.eta_seconds, status.progress.eta) == (24.0, 900, "15m00s")
    assert status.device == DeviceUsed("cuda", "NVIDIA L4")


def run_pods(world: World) -> None:
    """Let the first pod of the current Job start now."""
    pod = dataclasses.replace(running(1), started=format_time(world.now))
    world.pods[world.job().name] = (pod,)
    world.write_job(active=1, ready=1)
    world.settle()


def test_the_speed_counts_from_the_first_pod_however_long_the_wait_for_its_node_was() -> None:
    world = begun("transcribe")
    world.now += timedelta(seconds=5000)
    start = format_time(world.now)
    world.pods[world.job().name] = (dataclasses.replace(running(1), started=start),)
    world.write_job(active=1, ready=1)
    world.settle()
    world.now += timedelta(seconds=100)
    world.progress = answers(Progress("transcribe", 1000.0, 3600.0))
    world.settle()
    seconds = world.parsed().phase_seconds
    assert seconds is not None
    assert (world.parsed().rtfx, seconds.queue) == (10.0, 5000)


def test_the_wait_of_a_job_that_was_deleted_does_not_count_for_the_next_one() -> None:
    world = begun("transcribe")
    world.now += timedelta(seconds=5000)
    run_pods(world)
    world.jobs.pop(world.job().name)
    world.settle()
    assert world.job().ordinal == 3
    run_pods(world)
    world.now += timedelta(seconds=1000)
    world.progress = answers(Progress("transcribe", 1000.0, 3600.0))
    world.settle()
    assert world.parsed().rtfx == 1.0
    world.end_job("Complete", succeeded=10)
    world.settle()
    seconds = world.parsed().phase_seconds
    assert seconds is not None
    assert (seconds.queue, seconds.transcribe, world.parsed().rtfx) == (0, 1000, 36.0)


def test_the_speed_does_not_begin_anew_where_a_job_goes_on_after_a_pause() -> None:
    """What was transcribed before the pause counts, and so does its time."""
    world = begun("transcribe")
    run_pods(world)
    world.now += timedelta(seconds=3600)
    paused = {"type": "Suspended", "status": "False", "lastTransitionTime": format_time(world.now)}
    world.write_job(startTime=format_time(world.now), succeeded=9, conditions=[paused])
    world.now += timedelta(seconds=60)
    world.settle()
    assert world.parsed().rtfx == pytest.approx(36_000 * 0.9 / 3660, abs=0.1)


def test_of_many_pods_only_some_are_polled_and_stand_for_the_others() -> None:
    plan = dataclasses.replace(PLAN, shards=1000, to_transcribe=10_000, files=10_005, audio_seconds=3_600_000.0)
    world = World()
    world.settle()
    world.play("plan", plan)
    world.now += timedelta(seconds=60)
    world.pods[world.job().name] = tuple(running(number) for number in range(100))
    world.write_job(active=100, ready=100)
    world.progress = answers(*[Progress("transcribe", 1800.0, 3600.0, files_done=5)] * MAX_POLLED)
    world.reconcile()
    status = world.parsed()
    assert len(world.plan.poll_pods) == MAX_POLLED
    assert status.active_pods == 100
    assert status.files is not None
    assert (status.files.done, status.progress and status.progress.seconds_done) == (500, 180_000)


def test_files_without_a_known_length_are_counted_in_percent() -> None:
    world = begun("plan")
    world.play("plan", dataclasses.replace(PLAN, audio_seconds=0.0))
    world.write_job(active=1, succeeded=5)
    world.pods[world.job().name] = (running(1),)
    world.reconcile()
    status = world.parsed()
    assert status.progress is not None
    assert (status.progress.percent, status.rtfx, status.progress.eta_seconds) == (50, None, None)


def test_nothing_is_written_for_the_progress_before_its_time() -> None:
    world = transcribing(seconds=60)
    world.settle()
    shown, written = world.status, len(world.writes)
    world.progress = answers(*[Progress("transcribe", 3000.0, 3600.0, files_done=9)] * 4)
    world.write_job(succeeded=3)
    world.now += timedelta(seconds=9)
    world.reconcile()
    assert (len(world.writes), world.status) == (written, shown)
    assert world.plan.requeue_after_seconds == pytest.approx(1.0)
    world.now += timedelta(seconds=1)
    world.reconcile()
    assert len(world.writes) == written + 1


def test_an_hour_with_ten_thousand_files_takes_few_writes() -> None:
    """Every three seconds a pod ends or begins, and its progress is another."""
    world = World()
    world.settle()
    plan = PlanSummary(files=10_000, to_transcribe=10_000, shards=1000, audio_seconds=3_600_000.0)
    world.play("plan", plan)
    for second in range(0, 3600, 3):
        world.now += timedelta(seconds=3)
        pods = 0 if second % 7 == 3 else 7 + second % 2  # for a moment none of them runs
        world.pods[world.job().name] = tuple(running(second + number) for number in range(pods))
        world.progress = answers(*[Progress("transcribe", second % 60 * 50.0, 3600.0, files_done=second % 9)] * pods)
        world.write_job(active=8, ready=pods, succeeded=second * 1000 // 3600)
        world.reconcile()
    world.play("transcribe", plan)
    world.play("collect", plan, FileCounts(total=10_000, done=10_000))
    assert world.parsed().phase is Phase.COMPLETE
    assert 60 < len(world.writes) + len(world.events) <= MOST_WRITES


def test_what_pods_had_to_give_up_stays_in_the_status_however_many_pods_there_were() -> None:
    world = begun("transcribe")
    words = [f"memory ran out: windows decoded together went from 96 to {size}" for size in (48, 24, 12, 6, 3)]
    reports = [Report(files=FileCounts(total=1, done=1), warnings=(words[number % 5],)) for number in range(10)]
    plain = ended(Report(files=FileCounts(total=1, done=1)), number=10)
    world.end_job("Complete", *(ended(one, number=number) for number, one in enumerate(reports)), plain, succeeded=10)
    world.settle()
    world.play("collect")
    assert condition(world.parsed(), "Collected").status == "True"
    assert world.parsed().warnings == tuple(sorted(words)[:4])


def test_a_first_pod_that_runs_is_shown_at_once() -> None:
    world = begun("transcribe")
    world.write_job(active=1)
    world.now += timedelta(seconds=1)
    world.settle()
    assert condition(world.parsed(), "Running").status == "False"
    world.pods[world.job().name] = (running(1),)
    world.now += timedelta(seconds=1)
    world.reconcile()
    assert condition(world.parsed(), "Running").status == "True"


def test_a_moment_without_a_running_pod_between_two_shards_is_not_told() -> None:
    world = transcribing(pods=1, seconds=60)
    world.settle()
    world.pods[world.job().name] = ()
    world.now += timedelta(seconds=5)
    world.reconcile()
    assert condition(world.parsed(), "Running").status == "True"
    world.now += timedelta(seconds=6)
    world.reconcile()
    assert condition(world.parsed(), "Running").status == "False"


def test_pods_that_wait_and_pods_that_failed_are_told_beside_those_that_run() -> None:
    world = transcribing(pods=2)
    scheduled = {"type": "PodScheduled", "status": "False", "reason": "Unschedulable", "message": "0/3 nodes: no GPU"}
    waiting = pod(meta={"uid": "w", "name": "w"}, conditions=[scheduled])
    gone = ended(failure(reasons.ENDPOINT_UNREACHABLE, "no answer"), exit_codes.UNREACHABLE, 8)
    world.pods[world.job().name] += (waiting, gone)
    world.write_job(failed=1, failedIndexes="0,4-5")
    world.settle()
    assert condition(world.parsed(), "Running").message == (
        "2 of 4 pods run; 2 of 10 shards ended, 3 without an attempt left; 1 not started: 0/3 nodes: no GPU; "
        "the last pod to fail: EndpointUnreachable: no answer"
    )
    assert world.parsed().attempt == 1


def test_a_pod_on_a_lost_node_holds_up_no_other() -> None:
    world = transcribing(pods=2)
    lost = dataclasses.replace(running(7), phase="Unknown")
    world.pods[world.job().name] += (lost,)
    world.settle()
    status = world.parsed()
    assert "1 on a node that does not answer, as pod pod-7 on node-1" in condition(status, "Running").message
    world.pods[world.job().name] = (lost,)
    world.now += timedelta(seconds=30)
    world.settle()
    assert condition(world.parsed(), "Running").reason == "NodeLost"


def test_a_queue_that_takes_the_pods_away_is_shown_without_pods_and_with_the_files_so_far() -> None:
    world = transcribing(queueName="gpus")
    world.jobs[world.job().name]["spec"]["suspend"] = False
    world.settle()
    assert world.parsed().active_pods == 4
    world.jobs[world.job().name]["spec"]["suspend"] = True
    world.settle()
    status = world.parsed()
    assert (condition(status, "Suspended").reason, status.active_pods, status.files_done) == (
        "WaitingForQueue",
        None,
        "39/105",
    )


def test_a_cpu_that_took_over_in_one_pod_degrades_the_resource() -> None:
    world = transcribing(device={"policy": "PreferGPU"})
    device = DeviceUsed("cpu", fallback_reason="GPUDriverMissing", fallback_message="no libcuda.so.1")
    world.progress = answers(Progress("transcribe", 1.0, device=device), Progress("transcribe", 1.0))
    world.settle()
    assert condition(world.parsed(), "Degraded").reason == "CPUFallback"


def test_pods_whose_workers_ended_and_whose_sidecars_go_on_are_deleted() -> None:
    world = transcribing(pods=1)
    at = format_time(NOW)
    ends = {"terminated": {"exitCode": 0, "startedAt": at, "finishedAt": at}}
    outlived = [pod(ends, {"name": f"o{number}", "uid": f"o{number}"}, phase="Running") for number in range(2)]
    world.pods[world.job().name] += tuple(outlived)
    world.reconcile()
    assert [item.name for item in world.plan.delete_pods] == ["o0", "o1"]


@pytest.mark.parametrize("seconds", [5e-324, 1e-306, 1e-300, 1e-9])
def test_a_pod_that_says_next_to_nothing_stops_nobody(seconds: float) -> None:
    world = transcribing(succeeded=0)
    world.progress = answers(Progress("transcribe", seconds, 3600.0))
    world.settle()
    status = world.parsed()
    assert status.progress is not None
    assert (status.progress.percent, status.progress.eta_seconds, status.progress.eta) == (0, None, None)


def test_a_pod_that_says_more_than_there_is_does_not_exceed_the_whole() -> None:
    world = transcribing()
    world.progress = answers(*[Progress("transcribe", 2e9, 3600.0, files_done=2**40, files_failed=2**40)] * 4)
    world.settle()
    status = world.parsed()
    assert status.progress is not None
    assert status.files is not None
    assert (status.progress.percent, status.progress.eta_seconds) == (100, 0)
    assert status.files.done + status.files.reused + status.files.failed == status.files.total
