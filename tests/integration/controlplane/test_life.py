"""A resource goes through its life with a real apiserver and operator; the test acts as Job controller and kubelet."""

import time
from hashlib import sha256

import pytest
from transcription_api import exit_codes, reasons
from transcription_api.report import DeviceUsed, WrittenObject, failure
from transcription_api.spec import Format

from tests.support.controlplane import ControlPlane
from tests.support.operator_process import ACCOUNT, Operator
from tests.support.simulated_cluster import PATIENCE, Namespace, condition, good_report, now, until

pytestmark = pytest.mark.usefixtures("operator")


def test_a_job_runs_to_complete_and_the_status_tells_all_that_the_worker_reported(namespace: Namespace) -> None:
    namespace.create("good")
    waiting = namespace.until_running("good", "False", "WaitingForPod")
    assert (waiting["phase"], waiting["attempt"], waiting["model"]["name"]) == ("Pending", 1, "turbo")
    job = namespace.attempt("good", exit_codes.OK, good_report())
    namespace.complete(job)
    status = namespace.until_phase("good", "Complete")
    assert condition(status, "Complete")["reason"] == "ResultsVerified"
    assert condition(status, "Running")["reason"] == "Finished"
    assert status["results"] == [
        {"format": "json", "key": "interviews/01/01.json", "size": 1000, "etag": "e1"},
        {"format": "txt", "key": "interviews/01/01.txt", "size": 100, "etag": "e2"},
    ]
    assert (status["audioDuration"], status["rtfx"], status["words"]) == ("1h02m03s", 62.1, 9000)
    assert status["device"]["name"] == "NVIDIA H100 80GB HBM3"
    assert status["jobRef"]["name"] == job["metadata"]["name"]
    assert "failure" not in status
    assert "progress" not in status


def test_a_job_costs_at_most_six_writes_from_start_to_end(plane: ControlPlane, namespace: Namespace) -> None:
    namespace.create("frugal")
    job = namespace.attempt("frugal", exit_codes.OK, good_report())
    namespace.complete(job)
    namespace.until_phase("frugal", "Complete")
    namespace.until("frugal", lambda _: len(namespace.events("frugal")) == 2, "two events")
    writes = plane.writes_of(ACCOUNT, namespace.name)
    assert len(writes) <= 6, writes
    assert writes.count(("create", "jobs")) == 1


def test_events_tell_each_turn_once(namespace: Namespace) -> None:
    namespace.create("told")
    job = namespace.attempt("told", exit_codes.OK, good_report())
    namespace.complete(job)
    namespace.until("told", lambda _: len(namespace.events("told")) == 2, "two events")
    assert namespace.events("told") == [("Normal", "JobCreated"), ("Normal", "ResultsVerified")]


def test_the_job_carries_the_rights_of_the_restricted_standard(plane: ControlPlane, namespace: Namespace) -> None:
    labels = {"pod-security.kubernetes.io/enforce": "restricted"}
    namespace.api.patch(f"/api/v1/namespaces/{namespace.name}", {"metadata": {"labels": labels}})
    secret = {"credentialsSecretRef": {"name": "keys"}}
    namespace.create("guarded", source={"s3": {"bucket": "audio", "key": "a.wav"} | secret})
    namespace.add_pod(namespace.job("guarded"))  # admission would refuse the pod otherwise


PERMANENT = [
    (exit_codes.SOURCE_NOT_FOUND, reasons.NO_SUCH_KEY),
    (exit_codes.ACCESS_DENIED, reasons.BAD_CREDENTIALS),
    (exit_codes.MEDIA_INVALID, reasons.NO_AUDIO_STREAM),
    (exit_codes.DEVICE_UNUSABLE, reasons.GPU_DRIVER_MISSING),
]


@pytest.mark.parametrize(("code", "reason"), PERMANENT, ids=[reason.name for _, reason in PERMANENT])
def test_a_permanent_failure_ends_at_once_with_its_reason(
    namespace: Namespace, code: int, reason: reasons.Reason
) -> None:
    namespace.create("bad")
    job = namespace.attempt("bad", code, failure(reason, "s3://audio/interviews/01.wav: what happened"))
    namespace.fail(job, "PodFailurePolicy", message=f"exit code {code} matching FailJob rule at index 1")
    status = namespace.until_phase("bad", "Failed")
    assert status["failure"] == {
        "reason": reason.name,
        "message": "s3://audio/interviews/01.wav: what happened",
        "advice": reason.advice,
        "exitCode": code,
    }
    assert condition(status, "Failed")["reason"] == reason.name
    assert status["attempt"] == 1


def test_a_transient_failure_is_shown_while_it_is_retried_and_forgotten_on_success(namespace: Namespace) -> None:
    namespace.create("flaky", retries=2)
    report = failure(reasons.ENDPOINT_UNREACHABLE, "connect to s3: refused")
    job = namespace.attempt("flaky", exit_codes.UNREACHABLE, report)
    namespace.write_job(job, active=0, ready=0, failed=1)
    status = namespace.until_running("flaky", "False", "Retrying")
    assert "EndpointUnreachable: connect to s3: refused" in condition(status, "Running")["message"]
    # The pod's end may be seen before the Job counts it.
    namespace.until("flaky", lambda status: status.get("attempt") == 2, "attempt 2")
    namespace.attempt("flaky", exit_codes.OK, good_report())
    namespace.complete(job)
    status = namespace.until_phase("flaky", "Complete")
    assert status["attempt"] == 2
    assert "failure" not in status


def test_retries_that_run_out_keep_the_last_reason_and_count_the_attempts(namespace: Namespace) -> None:
    namespace.create("hopeless", retries=1)
    report = failure(reasons.ENDPOINT_UNREACHABLE, "refused")
    job = namespace.attempt("hopeless", exit_codes.UNREACHABLE, report)
    namespace.write_job(job, active=0, ready=0, failed=1)
    namespace.until_running("hopeless", "False", "Retrying")
    namespace.attempt("hopeless", exit_codes.UNREACHABLE, report)
    namespace.fail(job, "BackoffLimitExceeded", failed=2)
    status = namespace.until_phase("hopeless", "Failed")
    assert (status["failure"]["reason"], status["attempt"]) == ("EndpointUnreachable", 2)
    assert status["failure"]["message"] == "refused (after 2 attempts)"


def test_a_pod_killed_for_memory_without_a_report_is_out_of_memory(namespace: Namespace) -> None:
    namespace.create("fat", retries=0)
    job = namespace.attempt("fat", 137, None, reason="OOMKilled")
    namespace.fail(job, "BackoffLimitExceeded")
    status = namespace.until_phase("fat", "Failed")
    assert status["failure"]["reason"] == "OutOfMemory"


def test_a_pod_evicted_for_storage_has_no_space_left(namespace: Namespace) -> None:
    namespace.create("full", retries=0)
    job = namespace.job("full")
    pod = namespace.add_pod(job)
    namespace.run_pod(job, pod)
    namespace.until_running("full", "True", "WorkerRunning")
    message = "Pod ephemeral local storage usage exceeds the total limit of containers 1Gi."
    namespace.write_pod(pod, phase="Failed", reason="Evicted", message=message, containerStatuses=[])
    namespace.fail(job, "BackoffLimitExceeded")
    assert namespace.until_phase("full", "Failed")["failure"]["reason"] == "NoSpaceLeft"


def test_a_pod_that_ends_without_a_report_says_so_with_its_exit_code(namespace: Namespace) -> None:
    namespace.create("mute", retries=0)
    job = namespace.attempt("mute", 1, None)
    namespace.fail(job, "BackoffLimitExceeded")
    failed = namespace.until_phase("mute", "Failed")["failure"]
    assert (failed["reason"], failed["exitCode"]) == ("WorkerFailed", 1)


def test_a_success_that_lacks_a_format_is_no_success(namespace: Namespace) -> None:
    namespace.create("partial")
    report = good_report(objects=(WrittenObject(Format.JSON, 1, "e"),))
    job = namespace.attempt("partial", exit_codes.OK, report)
    namespace.complete(job)
    failed = namespace.until_phase("partial", "Failed")["failure"]
    assert failed["reason"] == "ResultIncomplete"
    assert "txt" in failed["message"]


def test_a_deadline_of_the_job_is_named(namespace: Namespace) -> None:
    namespace.create("slow", activeDeadlineSeconds=60)
    job = namespace.job("slow")
    assert job["spec"]["activeDeadlineSeconds"] == 60
    namespace.attempt("slow", exit_codes.INTERRUPTED, failure(reasons.INTERRUPTED, "SIGTERM"))
    namespace.fail(job, "DeadlineExceeded")
    assert namespace.until_phase("slow", "Failed")["failure"]["reason"] == "DeadlineExceeded"


def test_the_job_after_a_deleted_one_gets_the_rest_of_the_deadline(namespace: Namespace) -> None:
    namespace.create("rest", activeDeadlineSeconds=60)
    first = namespace.job("rest")
    namespace.write_job(first)
    namespace.until("rest", lambda status: status.get("activeTime"), "the count of active time")
    time.sleep(1.1)
    namespace.api.delete(f"{namespace.jobs}/{first['metadata']['name']}")
    assert namespace.job("rest", 2)["spec"]["activeDeadlineSeconds"] < 60


def test_a_cpu_that_stood_in_for_a_gpu_is_degraded(namespace: Namespace) -> None:
    namespace.create("fallback", device={"policy": "PreferGPU"})
    device = DeviceUsed(kind="cpu", fallback_reason="GPUDriverMissing", fallback_message="no libcuda.so.1")
    job = namespace.attempt("fallback", exit_codes.OK, good_report(device=device))
    namespace.complete(job)
    status = namespace.until_phase("fallback", "Complete")
    degraded = condition(status, "Degraded")
    assert (degraded["status"], degraded["reason"]) == ("True", "CPUFallback")
    assert "no libcuda.so.1" in degraded["message"]


def test_a_pod_that_no_node_takes_shows_the_schedulers_words(namespace: Namespace) -> None:
    namespace.create("unplaced")
    pod = namespace.add_pod(namespace.job("unplaced"))
    words = "0/3 nodes are available: 3 Insufficient nvidia.com/gpu."
    unplaced = {"type": "PodScheduled", "status": "False", "reason": "Unschedulable", "message": words}
    namespace.write_pod(pod, conditions=[unplaced | {"lastTransitionTime": now()}])
    status = namespace.until_running("unplaced", "False", "Unschedulable")
    assert condition(status, "Running")["message"] == words


def test_a_pending_deadline_fails_and_removes_the_job(namespace: Namespace) -> None:
    namespace.create("late", pendingDeadlineSeconds=2)
    pod = namespace.add_pod(namespace.job("late"))
    assert pod
    status = namespace.until_phase("late", "Failed")
    assert status["failure"]["reason"] == "PendingDeadlineExceeded"
    namespace.until("late", lambda _: namespace.jobs_of("late") == [], "no Job")
    assert namespace.status("late")["phase"] == "Failed"


def test_an_endpoint_outside_the_allowed_ones_is_refused_without_a_job(namespace: Namespace) -> None:
    namespace.create(
        "outside", source={"s3": {"bucket": "audio", "key": "k.wav", "endpointURL": "http://169.254.169.254"}}
    )
    status = namespace.until_phase("outside", "Failed")
    assert condition(status, "Accepted")["reason"] == "EndpointNotAllowed"
    assert "169.254.169.254" in status["failure"]["message"]
    assert namespace.jobs_of("outside") == []


def test_a_node_cache_that_is_not_configured_is_refused(namespace: Namespace) -> None:
    namespace.create("cached", model={"cache": {"type": "Node"}})
    assert namespace.until_phase("cached", "Failed")["failure"]["reason"] == "NodeCacheDisabled"


def test_a_job_that_the_apiserver_finds_invalid_is_an_invalid_spec(namespace: Namespace) -> None:
    namespace.create("odd", device={"nodeSelector": {"not a label!": "x"}})
    failed = namespace.until_phase("odd", "Failed")["failure"]
    assert failed["reason"] == "InvalidSpec"
    assert "not a label!" in failed["message"]


def test_a_name_that_somebody_else_has_taken_is_left_alone(namespace: Namespace, operator: Operator) -> None:
    namespace.create("probe", suspend=True)
    status = namespace.until_phase("probe", "Suspended")
    uid = str((namespace.api.get(f"{namespace.resources}/probe") or {})["metadata"]["uid"])
    name = f"probe-{sha256(uid.encode()).hexdigest()[:8]}-1"
    spec = {"template": {"spec": {"restartPolicy": "Never", "containers": [{"name": "x", "image": "x"}]}}}
    theirs = namespace.api.post(namespace.jobs, {"metadata": {"name": name}, "spec": spec})
    assert status["phase"] == "Suspended"
    namespace.change("probe", suspend=False)
    assert namespace.until_phase("probe", "Failed")["failure"]["reason"] == "JobNameTaken"
    found = namespace.api.get(f"{namespace.jobs}/{name}") or {}
    assert found["metadata"]["uid"] == theirs["metadata"]["uid"]


def test_a_job_deleted_from_outside_is_followed_by_the_next(namespace: Namespace) -> None:
    namespace.create("robbed")
    first = namespace.job("robbed")
    namespace.until_running("robbed", "False", "WaitingForPod")
    namespace.api.delete(f"{namespace.jobs}/{first['metadata']['name']}")
    second = namespace.job("robbed", 2)
    assert second["metadata"]["name"].endswith("-2")
    status = namespace.until("robbed", lambda status: status["jobRef"]["ordinal"] == 2, "second Job")
    assert (status["attempt"], status["jobRef"]["lost"]) == (1, 1)
    namespace.until("robbed", lambda _: ("Warning", "JobLost") in namespace.events("robbed"), "JobLost")


def test_a_finished_resource_stays_finished_when_its_job_is_gone(namespace: Namespace) -> None:
    namespace.create("settled")
    job = namespace.attempt("settled", exit_codes.OK, good_report())
    namespace.complete(job)
    before = namespace.until_phase("settled", "Complete")
    namespace.api.delete(f"{namespace.jobs}/{job['metadata']['name']}")
    namespace.change("settled", ttlSecondsAfterFinished=3600)
    after = namespace.until("settled", lambda status: status["observedGeneration"] == 2, "generation 2")
    assert namespace.jobs_of("settled") == []
    assert after["completionTime"] == before["completionTime"]


def test_a_resource_goes_after_its_ttl(namespace: Namespace) -> None:
    namespace.create("short", ttlSecondsAfterFinished=1)
    job = namespace.attempt("short", exit_codes.OK, good_report())
    namespace.complete(job)
    until(lambda: namespace.api.get(f"{namespace.resources}/short") is None, "the resource to go", 20)


def test_a_deleted_resource_is_let_go_at_once(namespace: Namespace, operator: Operator) -> None:
    namespace.create("gone")
    namespace.job("gone")
    namespace.delete("gone")
    assert namespace.api.get(f"{namespace.resources}/gone") is None  # no finalizer holds it


def test_a_running_worker_without_a_progress_page_is_no_trouble(namespace: Namespace, operator: Operator) -> None:
    namespace.create("silent")
    job = namespace.job("silent")
    pod = namespace.add_pod(job)
    namespace.run_pod(job, pod, ip="127.9.9.9")
    status = namespace.until_running("silent", "True", "WorkerRunning")
    assert status["startTime"]
    assert operator.get("/healthz") == (200, "ok")


def test_the_preview_is_shown_only_where_it_was_asked_for(namespace: Namespace) -> None:
    for name, spec, expected in (("quiet", {}, None), ("shown", {"preview": {"characters": 5}}, "hello")):
        namespace.create(name, **spec)
        job = namespace.attempt(name, exit_codes.OK, good_report(preview="hello world"))
        namespace.complete(job)
        assert namespace.until_phase(name, "Complete").get("preview") == expected


def test_a_report_of_another_version_does_not_stop_the_operator(namespace: Namespace) -> None:
    namespace.create("foreign", retries=0)
    job = namespace.job("foreign")
    pod = namespace.add_pod(job)
    namespace.run_pod(job, pod)
    ended = {"exitCode": 84, "startedAt": now(), "finishedAt": now(), "reason": "Error", "message": '{"novel": 1}'}
    container = {"name": "worker", "image": "w", "imageID": "", "ready": False, "restartCount": 0}
    namespace.write_pod(pod, phase="Failed", containerStatuses=[container | {"state": {"terminated": ended}}])
    namespace.fail(job, "BackoffLimitExceeded")
    assert namespace.until_phase("foreign", "Failed")["failure"]["reason"] == "WorkerFailed"


def test_metrics_count_jobs_by_phase_and_seconds_of_audio(namespace: Namespace, operator: Operator) -> None:
    before = operator.metric("transcription_audio_seconds_total")
    namespace.create("counted")
    job = namespace.attempt("counted", exit_codes.OK, good_report(audio_seconds=100.0))
    namespace.complete(job)
    namespace.until_phase("counted", "Complete")
    # The counter moves once the apiserver has answered the write of the status, which may be after we have read it.
    until(lambda: operator.metric("transcription_audio_seconds_total") > before, "the counter of audio", PATIENCE)
    assert operator.metric("transcription_audio_seconds_total") == pytest.approx(before + 100)
    assert operator.metric('transcription_jobs{phase="Complete",reason="Finished"}') >= 1
    assert operator.metric("transcription_reconcile_seconds_count") > 0
