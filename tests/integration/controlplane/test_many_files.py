"""A resource over many files goes through its phases on a real apiserver, whatever becomes of the operator in between."""

from functools import partial
from pathlib import Path
from typing import Any

from transcription_api import exit_codes, names
from transcription_api.report import FileCounts, PlanSummary, Report

from tests.support.api_client import Json
from tests.support.controlplane import ControlPlane
from tests.support.operator_process import ACCOUNT as OPERATOR
from tests.support.operator_process import Operator, operator_alone
from tests.support.simulated_cluster import Namespace, condition, now, until

PLAN = PlanSummary(files=12, to_transcribe=10, shards=3, reused=2, skipped=1, audio_seconds=3600.0)
ACCOUNT = FileCounts(total=12, done=10, reused=2, skipped=1)
SOURCE = {"s3": {"bucket": "audio", "prefix": "calls/"}}
PATIENCE = 30.0


def create(namespace: Namespace, name: str, **spec: Any) -> None:
    namespace.create(name, source=SOURCE, **spec)


def play_phase(namespace: Namespace, name: str, ordinal: int, report: Report) -> Json:
    """Let the one pod of a phase end with this report, and its Job complete."""
    job = namespace.job(name, ordinal)
    pod = namespace.add_pod(job)
    namespace.end_pod(pod, exit_codes.OK, report)
    namespace.complete(job)
    return job


def test_a_prefix_is_planned_transcribed_by_several_pods_and_accounted_for(
    operator: Operator, namespace: Namespace
) -> None:
    create(namespace, "calls", parallelism=2)
    plan = play_phase(namespace, "calls", 1, Report(plan=PLAN))
    job = namespace.job("calls", 2)
    phases = [item["metadata"]["labels"][names.LABEL_PHASE] for item in (plan, job)]
    assert (phases, job["spec"]["completionMode"], job["spec"]["completions"]) == (["plan", "transcribe"], "Indexed", 3)
    ended, first, second = (namespace.add_pod(job, f"shard-{number}") for number in range(3))
    namespace.end_pod(ended, exit_codes.OK, Report(files=FileCounts(4, done=4)))
    namespace.write_job(job, active=2, succeeded=1, completedIndexes="0")
    for number, pod in enumerate((first, second)):
        state = {"name": names.CONTAINER_NAME, "image": "", "imageID": "", "ready": True, "restartCount": 0}
        ip = f"127.9.9.{number}"
        running = state | {"state": {"running": {"startedAt": now()}}}
        namespace.write_pod(pod, phase="Running", podIP=ip, podIPs=[{"ip": ip}], containerStatuses=[running])
    namespace.write_job(job, ready=2)
    status = namespace.until("calls", lambda status: status.get("activePods") == 2)
    assert condition(status, "Running")["message"].startswith("2 of 2 pods run; 1 of 3 shards ended")
    assert (status["filesDone"], status["files"]["total"]) == ("5/12", 12)
    for parallelism, pods in ((8, 3), (1, 1)):  # there are 3 shards
        namespace.change("calls", parallelism=parallelism)
        until(partial(_has_parallelism, namespace, pods), "another parallelism", PATIENCE)
    until(lambda: namespace.events("calls").count(("Normal", "Scaled")) == 2, "events", PATIENCE)
    assert namespace.status("calls")["jobRef"]["ordinal"] == 2
    namespace.complete(job)
    play_phase(namespace, "calls", 3, Report(files=ACCOUNT, audio_seconds=3600.0))
    status = namespace.until_phase("calls", "Complete")
    assert (status["filesDone"], status["jobRef"]["phase"], set(status["phaseSeconds"])) == (
        "12/12",
        "collect",
        {*names.PHASES, "queue"},
    )
    assert status["reportKey"].startswith("interviews/01/_runs/calls-")


def test_with_a_queue_the_transcription_alone_waits_and_the_pods_that_kueue_admits_are_all_there_are(
    operator: Operator, namespace: Namespace
) -> None:
    create(namespace, "queued", queueName="gpus", parallelism=3)
    assert play_phase(namespace, "queued", 1, Report(plan=PLAN))["spec"]["suspend"] is False
    namespace.until_running("queued", "False", "WaitingForQueue")
    job = namespace.job("queued", 2)
    path = f"{namespace.jobs}/{job['metadata']['name']}"
    namespace.api.patch(path, {"spec": {"suspend": False, "parallelism": 1}})  # as Kueue admits a part
    namespace.until_running("queued", "False", "WaitingForPod")
    namespace.change("queued", failurePolicy={"maxFailedFiles": 1})
    namespace.until("queued", lambda status: status["observedGeneration"] == 2, "generation 2")
    assert namespace.job("queued", 2)["spec"]["parallelism"] == 1
    namespace.change("queued", parallelism=2)
    until(lambda: namespace.job("queued", 2)["spec"]["parallelism"] == 2, "another parallelism", PATIENCE)


def _has_parallelism(namespace: Namespace, pods: int) -> bool:
    return bool(namespace.job("calls", 2)["spec"]["parallelism"] == pods)


def begin_shards(namespace: Namespace) -> tuple[Json, Json, str]:
    """Return the Job of the shards with a pod that runs, and the pod's path. Its finalizer is the Job controller's."""
    create(namespace, "calls")
    play_phase(namespace, "calls", 1, Report(plan=PLAN))
    job = namespace.job("calls", 2)
    pod = namespace.add_pod(job)
    path = f"{namespace.pods}/{pod['metadata']['name']}"
    namespace.api.patch(path, {"metadata": {"finalizers": ["batch.kubernetes.io/job-tracking"]}})
    namespace.run_pod(job, pod)
    namespace.until_running("calls", "True", "WorkerRunning")
    return job, pod, path


def fail_deleted_pod(namespace: Namespace, job: Json, pod: Json, path: str) -> None:
    """Delete a pod, which its finalizer keeps, and let it fail."""
    namespace.api.delete(path)
    namespace.end_pod(pod, exit_codes.INTERRUPTED)
    namespace.write_job(job, active=0, ready=0)


def test_a_failed_shard_does_not_hold_up_the_deletion_of_its_namespace(
    operator: Operator, namespace: Namespace
) -> None:
    """The Job controller keeps a failed pod until the next one is created, which an ending namespace refuses."""
    job, pod, path = begin_shards(namespace)
    namespace.api.delete(f"/api/v1/namespaces/{namespace.name}")
    fail_deleted_pod(namespace, job, pod, path)
    until(lambda: not namespace.jobs_of("calls")[1:], "the Job to be deleted", PATIENCE)
    namespace.until_running("calls", "False", "NamespaceTerminating")
    namespace.api.patch(path, {"metadata": {"finalizers": None}})


def test_a_failed_pod_that_somebody_deleted_ends_no_job(
    plane: ControlPlane, operator: Operator, namespace: Namespace
) -> None:
    job, pod, path = begin_shards(namespace)

    def creations() -> int:
        return plane.writes_of(OPERATOR, namespace.name).count(("create", "jobs"))

    before = creations()
    fail_deleted_pod(namespace, job, pod, path)
    until(lambda: creations() >= before + 2, "the operator to ask twice whether the namespace is ending", PATIENCE)
    assert [item["metadata"]["uid"] for item in namespace.jobs_of("calls")][1:] == [job["metadata"]["uid"]]
    namespace.api.patch(path, {"metadata": {"finalizers": None}})


def test_an_operator_that_was_down_while_all_files_were_transcribed_makes_each_job_once(
    plane: ControlPlane, namespace: Namespace, tmp_path: Path
) -> None:
    with operator_alone(plane, namespace.api, tmp_path / "operator.log") as operator:
        create(namespace, "calls")
        for ordinal, report in enumerate((Report(plan=PLAN), Report(), Report(files=ACCOUNT)), start=1):
            namespace.job("calls", ordinal)
            if ordinal == 2:
                operator.kill()
            play_phase(namespace, "calls", ordinal, report)
            if ordinal == 2:
                operator.start()
        status = namespace.until_phase("calls", "Complete")
    labels = [item["metadata"]["labels"] for item in namespace.jobs_of("calls")]
    assert [item[names.LABEL_PHASE] for item in labels] == [*names.PHASES]
    assert status["files"]["done"] == 10
