"""One resource over many files: a Job plans, an Indexed Job transcribes, a Job collects, whenever the operator crashes."""

import dataclasses
from datetime import timedelta

import pytest
from transcription_api import exit_codes, names, reasons
from transcription_api.report import FileCounts, PlanSummary, failure
from transcription_api.status import Phase
from transcription_operator.models.times import format_time
from transcription_operator.reconcile.observed_state import JobRejection

from tests.support.decisions import condition
from tests.support.kubernetes_objects import pod
from tests.support.many_files import ACCOUNT, MANY, PLAN, World, begun, ended, running

PHASES = list(names.PHASES)


def test_a_prefix_is_planned_transcribed_and_collected_by_one_job_each() -> None:
    world = begun("collect")
    world.play("collect")
    assert world.phases() == PHASES
    assert [job.ordinal for job in world.views()] == [1, 2, 3]


def test_all_files_with_results_make_the_resource_complete_with_the_account_and_its_key() -> None:
    world = begun("collect", failurePolicy={"maxFailedFiles": 2})
    world.play("collect")
    status = world.parsed()
    assert (status.phase, condition(status, "Complete").reason) == (Phase.COMPLETE, "ResultsVerified")
    assert condition(status, "Complete").message == "105 files: 100 transcribed, 3 reused, 2 failed"
    assert (status.files, status.files_done) == (ACCOUNT, "103/105")
    assert status.report_key == "out/_runs/interview-uid-1/report.json"
    assert (status.audio_seconds, status.words, status.results) == (36_000.0, 5, ())
    assert status.phase_seconds is not None
    assert (status.phase_seconds.plan, status.phase_seconds.transcribe, status.phase_seconds.collect) == (60, 60, 60)
    milestones = [
        "JobCreated",
        "PlanReady",
        "JobCreated",
        "Collecting",
        "JobCreated",
        "FilesCounted",
        "ResultsVerified",
    ]
    assert world.events == milestones


def test_the_plan_is_told_with_its_numbers() -> None:
    status = begun("transcribe").parsed()
    planned = condition(status, "Planned")
    assert (planned.status, planned.reason, status.plan) == ("True", "PlanReady", PLAN)
    told = "105 files; 100 to transcribe in 10 shards, 10h00m00s of audio; 3 reused; 2 refused; 7 objects skipped"
    assert planned.message == told


def test_more_failed_files_than_allowed_are_a_failure_that_says_how_many_and_why() -> None:
    world = begun("collect", failurePolicy={"maxFailedFiles": "1%"})
    world.play("collect")
    status = world.parsed()
    assert status.failure is not None
    assert (status.phase, status.failure.reason) == (Phase.FAILED, "PartiallyFailed")
    assert status.failure.message == "2 of 105 files failed, and 1 may: NoSuchKey 2"
    assert status.files == ACCOUNT


def test_a_dry_run_is_complete_with_its_plan_and_runs_nothing_else() -> None:
    source = {"s3": {"bucket": "audio", "key": "a.wav"}}
    for spec in ({"dryRun": True}, {"dryRun": True, "source": source}):
        world = begun("plan", **spec)
        world.play("plan")
        status = world.parsed()
        assert (status.phase, condition(status, "Complete").reason) == (Phase.COMPLETE, "DryRun")
        assert (world.phases(), status.plan) == (["plan"], PLAN)


def test_where_every_file_has_its_results_already_the_account_follows_the_plan_at_once() -> None:
    world = begun("plan")
    plan = PlanSummary(files=3, to_transcribe=0, shards=0, reused=3)
    world.play("plan", plan)
    assert world.phases() == ["plan", "collect"]
    world.play("collect", plan, FileCounts(total=3, reused=3))
    assert world.parsed().phase is Phase.COMPLETE


@pytest.mark.parametrize("phase", ["plan", "collect"])
def test_a_phase_whose_report_is_lost_is_done_again(phase: str) -> None:
    world = begun(phase)
    world.end_job("Complete", succeeded=1)
    world.settle()
    assert world.phases() == [*PHASES[: PHASES.index(phase) + 1], phase]
    assert world.job().lost == 1
    world.play(phase)
    assert world.parsed().plan == PLAN


@pytest.mark.parametrize("phase", PHASES)
def test_a_job_that_somebody_deleted_is_followed_by_one_of_its_phase(phase: str) -> None:
    world = begun(phase)
    del world.jobs[world.job().name]
    world.settle()
    assert (world.job().phase, world.job().ordinal, world.job().lost) == (phase, PHASES.index(phase) + 2, 1)
    assert "JobLost" in world.events


def test_earlier_jobs_that_are_gone_change_nothing() -> None:
    world = begun("collect")
    for job in world.views()[:2]:
        del world.jobs[job.name]
    world.play("collect")
    assert world.parsed().failure is not None  # the two files that failed
    assert world.phases() == ["collect"]
    assert "JobLost" not in world.events


def test_shards_without_an_attempt_left_are_for_the_account_to_tell() -> None:
    world = begun("transcribe", failurePolicy={"maxFailedFiles": 2})
    world.end_job("Failed", reason="FailedIndexes", succeeded=9, failedIndexes="4", failed=4)
    world.settle()
    assert world.parsed().failure is None
    assert "9 of 10 shards succeeded, 1 have no attempt left" in condition(world.parsed(), "Collected").message
    world.play("collect")
    assert world.parsed().phase is Phase.COMPLETE


def test_a_failure_that_holds_for_every_shard_is_told_after_the_files_are_accounted_for() -> None:
    world = begun("transcribe")
    said = failure(reasons.MODEL_NOT_FOUND, "no such model")
    transient = ended(failure(reasons.ENDPOINT_UNREACHABLE, "no answer"), exit_codes.UNREACHABLE, 2)
    gone = ended(said, exit_codes.MODEL_INVALID, 1)
    world.end_job("Failed", gone, transient, reason="PodFailurePolicy", failed=2)
    world.settle()
    kept = world.parsed().failure
    assert kept is not None
    assert (kept.reason, world.parsed().phase, world.phases()) == ("ModelNotFound", Phase.PENDING, PHASES)
    world.play("collect")
    status = world.parsed()
    assert (status.phase, status.failure, status.files) == (Phase.FAILED, kept, ACCOUNT)
    assert condition(status, "Failed").reason == "ModelNotFound"
    assert condition(status, "Collected").status == "True"


def test_a_collection_that_fails_leaves_the_first_failure_as_the_reason() -> None:
    world = begun("transcribe")
    gone = ended(failure(reasons.MODEL_NOT_FOUND, "no such model"), exit_codes.MODEL_INVALID)
    world.end_job("Failed", gone, reason="PodFailurePolicy", failed=1)
    world.settle()
    denied = ended(failure(reasons.DESTINATION_DENIED, "no"), exit_codes.DESTINATION_DENIED)
    world.end_job("Failed", denied, reason="PodFailurePolicy", failed=1)
    world.settle()
    assert world.parsed().failure is not None
    assert condition(world.parsed(), "Failed").reason == "ModelNotFound"


def test_after_the_deadline_there_is_time_for_the_account() -> None:
    world = begun("transcribe", activeDeadlineSeconds=90)
    assert world.job().name in world.jobs
    world.end_job("Failed", reason="DeadlineExceeded", succeeded=3)
    world.settle()
    assert world.jobs[world.job().name]["spec"]["activeDeadlineSeconds"] == 1800
    world.play("collect")
    assert condition(world.parsed(), "Failed").reason == "DeadlineExceeded"


def test_a_failure_of_the_job_is_none_of_the_resource_where_every_file_has_its_results() -> None:
    world = begun("transcribe", activeDeadlineSeconds=90)
    world.end_job("Failed", reason="DeadlineExceeded", succeeded=9)
    world.settle()
    assert world.parsed().failure is not None
    world.play("collect", account=dataclasses.replace(ACCOUNT, done=102, failed=0, by_reason=()))
    status = world.parsed()
    assert (status.phase, status.failure, status.files_done) == (Phase.COMPLETE, None, "105/105")


def test_pods_that_no_node_takes_in_time_end_the_transcription_and_not_the_account() -> None:
    world = begun("transcribe", pendingDeadlineSeconds=30)
    world.write_job(active=1)
    world.pods[world.job().name] = (pod(meta={"creationTimestamp": world.job().created}),)
    world.now = world.now.replace(minute=30)
    world.settle()
    world.now += timedelta(minutes=1)
    world.settle()
    assert world.phases() == ["plan", "collect"]
    world.play("collect")
    assert condition(world.parsed(), "Failed").reason == "PendingDeadlineExceeded"


def test_the_account_is_written_once_pods_of_a_job_that_was_deleted_have_written_their_last() -> None:
    """Told to end, a worker finishes what is nearly done, and an account before that would call such files failed."""
    world = begun("transcribe", pendingDeadlineSeconds=30)
    world.write_job(active=1)
    world.pods[world.job().name] = (pod(meta={"creationTimestamp": world.job().created}),)
    world.now += timedelta(seconds=31)
    world.settle()
    assert world.phases() == ["plan"]
    assert (world.plan.create_job, world.plan.requeue_after_seconds) == (None, names.TERMINATION_GRACE_SECONDS + 10)
    world.now += timedelta(seconds=39)
    world.reconcile()
    assert world.phases() == ["plan"]
    world.now += timedelta(seconds=1)
    world.settle()
    assert world.phases() == ["plan", "collect"]


def test_evictions_while_files_are_transcribed_use_up_no_attempt_of_the_account() -> None:
    world = begun("transcribe", retries=1)
    target = {"type": "DisruptionTarget", "status": "True", "message": "has larger consumption of memory"}
    evicted = pod(
        phase="Failed",
        reason="Evicted",
        message="The node was low: has larger consumption of memory",
        conditions=[target],
    )
    world.write_job(active=2)
    for number in range(4):
        created = world.now.replace(second=number + 1).isoformat().replace("+00:00", "Z")
        world.pods[world.job().name] = (dataclasses.replace(evicted, uid=f"e{number}", created=created), running(9))
        world.reconcile()
    assert world.parsed().disruptions is not None
    assert world.job().phase == "transcribe"
    world.play("transcribe")
    world.play("collect")
    assert world.parsed().failure is not None
    assert condition(world.parsed(), "Failed").reason == "PartiallyFailed"


@pytest.mark.parametrize("phase", PHASES)
def test_a_resource_may_be_suspended_and_resumed_in_each_phase(phase: str) -> None:
    world = begun(phase)
    world.spec["suspend"] = True
    world.settle()
    assert (world.parsed().phase, world.job().suspended) == (Phase.SUSPENDED, True)
    world.spec["suspend"] = False
    world.settle()
    assert not world.job().suspended
    assert world.phases() == PHASES[: PHASES.index(phase) + 1]
    world.play(phase)


def test_with_a_queue_only_the_transcription_waits_for_it() -> None:
    world = begun("collect", queueName="gpus")
    plan, transcribe, collect = world.jobs.values()
    assert [names.LABEL_QUEUE in job["metadata"]["labels"] for job in (plan, transcribe, collect)] == [
        False,
        True,
        False,
    ]
    assert [job["spec"].get("suspend", False) for job in (plan, transcribe, collect)] == [False, True, False]
    waiting = begun("transcribe", queueName="gpus")
    assert condition(waiting.parsed(), "Suspended").reason == "WaitingForQueue"
    assert waiting.parsed().phase is Phase.PENDING
    waiting.queue_reason = "couldn't assign flavors: insufficient quota for nvidia.com/gpu"
    waiting.settle()
    assert "; couldn't assign flavors: insufficient quota" in condition(waiting.parsed(), "Suspended").message


def test_another_parallelism_changes_the_running_job() -> None:
    world = begun("transcribe")
    assert world.job().parallelism == 4
    world.write_job(active=4, ready=4)
    world.spec["parallelism"] = 20
    world.settle()
    assert (world.job().parallelism, world.writes.count("scale")) == (10, 1)  # no more than there are shards
    world.spec["parallelism"] = 1
    world.settle()
    assert (world.job().parallelism, world.writes.count("scale")) == (1, 2)
    assert world.events.count("Scaled") == 2


def test_a_parallelism_that_the_apiserver_refuses_is_told_and_the_job_goes_on() -> None:
    world = begun("transcribe")
    world.write_job(active=1, ready=1)
    world.pods[world.job().name] = (running(1),)
    world.spec["parallelism"] = 2
    world.rejection = JobRejection(reasons.JOB_NOT_UPDATED, "a webhook says no")
    world.settle()
    status = world.parsed()
    assert (status.phase, condition(status, "Suspended").message) == (Phase.RUNNING, "a webhook says no")
    assert world.job().parallelism == 4


def test_a_job_of_an_earlier_phase_that_did_not_end_is_deleted_before_the_next_one_is_made() -> None:
    world = begun("plan")
    still_running = world.jobs[world.job().name]
    world.play("plan")
    del world.jobs[world.job().name]
    still_running["status"] = {"active": 1}
    status = world.parsed()
    assert status.job_ref is not None
    world.settle()
    assert world.phases() == ["transcribe"]


def life(world: World) -> None:
    """Take a world from wherever it is to its end."""
    world.settle(40)
    for phase in PHASES:
        if world.parsed().phase not in (Phase.COMPLETE, Phase.FAILED) and world.job().phase == phase:
            world.play(phase)
            world.settle(40)


def test_an_operator_that_crashes_between_any_two_writes_makes_one_job_for_each_phase_and_the_same_status() -> None:
    whole = World(dict(MANY))
    life(whole)
    assert whole.parsed().phase is Phase.FAILED  # two files of the plan
    for crash in range(1, len(whole.writes) + 1):
        world = World(dict(MANY), crash_after=crash)
        life(world)
        assert world.phases() == PHASES, crash
        assert world.status == whole.status, crash


def test_a_status_that_somebody_wiped_is_found_again_from_the_jobs_and_nothing_runs_twice() -> None:
    world = begun("collect", failurePolicy={"maxFailedFiles": 2})
    world.play("collect")
    done = world.parsed()
    world.status = {}
    world.settle(20)
    again = world.parsed()
    assert (again.phase, again.files, again.plan) == (done.phase, done.files, done.plan)
    assert world.phases() == PHASES


def test_the_wait_for_a_gpu_is_told_apart_from_the_transcription() -> None:
    world = begun("transcribe")
    world.now += timedelta(seconds=240)
    started = running(1, creationTimestamp=format_time(world.now))
    world.pods[world.job().name] = (dataclasses.replace(started, started=format_time(world.now)),)
    world.write_job(active=1, ready=1)
    world.settle()
    world.play("transcribe")
    seconds = world.parsed().phase_seconds
    assert seconds is not None
    assert (seconds.queue, seconds.transcribe) == (240, 60)
