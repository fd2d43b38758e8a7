"""The status says so when a worker's node or the worker itself does not answer any more."""

from datetime import timedelta
from typing import Any

import pytest
from transcription_api.report import Progress
from transcription_api.status import Phase
from transcription_operator.models.objects import PodView
from transcription_operator.models.times import parse_time
from transcription_operator.reconcile.decide import decide
from transcription_operator.reconcile.observed_state import ObservedProgress

from tests.support.decisions import NOW, condition, observe, settled
from tests.support.kubernetes_objects import FINISHED, STARTED, config, job, pod
from tests.support.many_files import begun

RUNNING = {"running": {"startedAt": STARTED}}
TAINTED = {
    "type": "DisruptionTarget",
    "status": "True",
    "reason": "DeletionByTaintManager",
    "message": "Taint manager: deleting due to NoExecute taint",
}
# The time by which the pod had to end, a minute before NOW.
DELETION = {"deletionTimestamp": FINISHED}
TERMINATING = job(terminating=1)
MINUTES_LATER = NOW + timedelta(minutes=5)


def running_pod(meta: dict[str, Any] | None = None, **status: Any) -> PodView:
    return pod(RUNNING, meta, phase="Running", podIP="10.0.0.1", **status)


def unready(**ready: Any) -> list[dict[str, Any]]:
    """Return the conditions of a pod on a node that the node controller has found not ready."""
    return [
        {"type": "ContainersReady", "status": "True", "lastTransitionTime": STARTED},
        {"type": "Ready", "status": "False", "lastTransitionTime": FINISHED, **ready},
    ]


def test_a_worker_on_a_node_that_is_not_ready_is_shown_with_the_nodes_name() -> None:
    lost = running_pod(conditions=unready())
    status, _ = settled(observe(job=job(active=1, ready=0), pods=(lost,)))
    running = condition(status, "Running")
    assert running.status == "True"
    assert f"node node-1 is not ready since {FINISHED}" in running.message


def test_a_pod_that_waits_for_a_readiness_gate_is_on_a_ready_node() -> None:
    gated = running_pod(conditions=unready(reason="ReadinessGatesNotReady"))
    status, _ = settled(observe(job=job(active=1, ready=0), pods=(gated,)))
    assert "node-1" not in condition(status, "Running").message


def test_a_drained_worker_that_still_runs_is_shown_as_ending_with_the_cause() -> None:
    draining = running_pod({"deletionTimestamp": "2026-01-01T10:06:20Z"}, conditions=[TAINTED])
    status, _ = settled(observe(job=TERMINATING, pods=(draining,)))
    running = condition(status, "Running")
    assert (running.status, running.reason) == ("True", "WorkerRunning")
    assert "is being deleted: Taint manager: deleting due to NoExecute taint" in running.message


@pytest.mark.parametrize(
    "lost",
    [
        running_pod(DELETION, conditions=[TAINTED]),
        running_pod(DELETION),
        pod(None, DELETION, phase="Pending"),
        pod({"terminated": {"exitCode": 137, "finishedAt": STARTED}}, DELETION, phase="Running"),
        pod(RUNNING, phase="Unknown"),
        running_pod(reason="NodeLost"),
    ],
    ids=["taint manager", "deleted", "never started", "sidecar", "phase Unknown", "NodeLost"],
)
def test_a_pod_whose_end_no_node_confirms_is_not_running_and_says_what_an_administrator_does(lost: PodView) -> None:
    status, plan = settled(observe({"pendingDeadlineSeconds": 60}, job=TERMINATING, pods=(lost,)), MINUTES_LATER)
    running = condition(status, "Running")
    assert (status.phase, running.status, running.reason) == (Phase.PENDING, "False", "NodeLost")
    for words in ("node-1", lost.name, "node.kubernetes.io/out-of-service"):
        assert words in running.message
    assert (plan.poll_pods, plan.delete_jobs, plan.delete_pods) == ((), (), ())
    assert "NodeLost" in [event.reason for event in plan.events]


def test_the_progress_of_a_worker_on_a_lost_node_is_dropped() -> None:
    progress = ObservedProgress(Progress(stage="transcribe"), STARTED)
    before, _ = settled(observe(job=job(active=1), pods=(running_pod(),), progress=progress))
    assert before.progress is not None
    gone = running_pod(DELETION, conditions=[TAINTED])
    status, _ = settled(observe(status=before, job=TERMINATING, pods=(gone,)), MINUTES_LATER)
    assert status.progress is None


def test_the_next_pod_after_a_lost_node_is_the_one_that_is_shown() -> None:
    lost = running_pod(DELETION, conditions=[TAINTED])
    following = running_pod({"name": "interview-x-1-fghij", "uid": "pod-2", "creationTimestamp": FINISHED})
    status, plan = settled(observe(job=job(active=1, terminating=1), pods=(lost, following)), MINUTES_LATER)
    assert condition(status, "Running").status == "True"
    assert plan.poll_pods == (following,)


def test_a_worker_that_the_garbage_collector_removed_with_its_node_is_tried_again_and_not_counted() -> None:
    orphan = {"type": "DisruptionTarget", "status": "True", "reason": "DeletionByPodGC", "message": "node not found"}
    collected = pod(None, {"deletionTimestamp": FINISHED}, phase="Failed", conditions=[orphan])
    status, _ = settled(observe(job=job(), pods=(collected,)), MINUTES_LATER)
    assert (status.phase, status.attempt, condition(status, "Running").reason) == (Phase.PENDING, 1, "Retrying")
    assert "node not found" in condition(status, "Running").message


def test_a_worker_that_stopped_answering_shows_no_old_progress_and_since_when() -> None:
    progress = ObservedProgress(Progress(stage="transcribe", seconds_done=5.0), STARTED)
    before, _ = settled(observe(job=job(active=1), pods=(running_pod(),), progress=progress))
    silent = observe(status=before, job=job(active=1), pods=(running_pod(),), silent_since=FINISHED)
    status, _ = settled(silent)
    assert status.progress is None
    running = condition(status, "Running")
    assert running.status == "True"
    assert f"has not answered since {FINISHED}" in running.message


def test_a_worker_that_answers_again_shows_its_progress_again() -> None:
    silent = observe(job=job(active=1), pods=(running_pod(),), silent_since=FINISHED)
    before, _ = settled(silent)
    progress = ObservedProgress(Progress(stage="transcribe"), "2026-01-01T10:06:00Z")
    status, _ = settled(observe(status=before, job=job(active=1), pods=(running_pod(),), progress=progress))
    assert status.progress is not None
    assert "has not answered" not in condition(status, "Running").message


def test_a_pod_is_looked_at_again_when_its_time_to_end_has_passed() -> None:
    late = {"deletionTimestamp": "2026-01-01T10:06:00Z"}
    plan = decide(observe(job=TERMINATING, pods=(running_pod(late),)), config(), parse_time("2026-01-01T10:05:50Z"))
    assert plan.requeue_after_seconds is not None
    assert plan.requeue_after_seconds <= 60


def test_the_end_of_many_shards_that_waits_for_a_lost_node_names_it() -> None:
    """The Job controller has decided how the Job ends, and says so once all its pods have ended."""
    world = begun("transcribe", activeDeadlineSeconds=3600)
    world.pods[world.job().name] = (running_pod(), running_pod({"name": "lost", **DELETION}, reason="NodeLost"))
    target = {"type": "FailureTarget", "status": "True", "reason": "DeadlineExceeded", "lastTransitionTime": FINISHED}
    world.write_job(active=0, terminating=2, conditions=[target])
    world.now += timedelta(minutes=5)
    world.settle()
    waiting = condition(world.parsed(), "Running")
    assert (waiting.status, waiting.reason) == ("False", "NodeLost")
    assert "pod lost is on node node-1, which does not answer" in waiting.message
