"""What becomes of pods beside the worker's own end: they are drained, kept alive by a sidecar, lost or evicted."""

import time

import pytest
from transcription_api import exit_codes, reasons
from transcription_api.report import failure

from tests.support.api_client import Json
from tests.support.simulated_cluster import Namespace, condition, good_report, until

pytestmark = pytest.mark.usefixtures("operator")


def test_a_drain_that_takes_longer_than_the_pending_deadline_fails_nothing(namespace: Namespace) -> None:
    namespace.create("drained", pendingDeadlineSeconds=2)
    job = namespace.job("drained")
    pod = namespace.add_pod(job, node="node-1")
    namespace.run_pod(job, pod)
    namespace.until_running("drained", "True", "WorkerRunning")
    namespace.delete_pod(job, pod)
    time.sleep(2.5)
    namespace.remove_pod(job, pod)
    namespace.until_running("drained", "False", "WaitingForPod")
    namespace.complete(namespace.attempt("drained", exit_codes.OK, good_report()))
    assert namespace.until_phase("drained", "Complete")["attempt"] == 1


def test_a_sidecar_that_never_ends_neither_hides_the_result_nor_keeps_the_gpu(namespace: Namespace) -> None:
    namespace.create("meshed")
    job = namespace.attempt("meshed", exit_codes.OK, good_report(), sidecar="istio-proxy")
    namespace.write_job(job, ready=0)
    status = namespace.until_phase("meshed", "Complete")
    assert "istio-proxy" in condition(status, "Complete")["message"]
    until(lambda: namespace.jobs_of("meshed") == [], "the Job to go", 20)


def test_a_worker_that_failed_beside_a_sidecar_that_never_ends_is_tried_again(namespace: Namespace) -> None:
    namespace.create("stuck")
    report = failure(reasons.ENDPOINT_UNREACHABLE, "refused")
    job = namespace.attempt("stuck", exit_codes.UNREACHABLE, report, sidecar="istio-proxy")
    namespace.write_job(job, ready=0)
    until(lambda: namespace.pods_of(job) == [], "the pod to go", 20)
    namespace.write_job(job, active=0, failed=1)
    namespace.until("stuck", lambda status: status["attempt"] == 2, "attempt 2")
    namespace.complete(namespace.attempt("stuck", exit_codes.OK, good_report()))
    namespace.until_phase("stuck", "Complete")


def test_the_kubelets_word_of_a_sick_gpu_comes_through_the_apiserver_into_the_condition(namespace: Namespace) -> None:
    namespace.create("sick", device={"policy": "RequireGPU"})
    job = namespace.job("sick")
    pod = namespace.add_pod(job)
    namespace.run_pod(job, pod)
    device = {"resourceID": "GPU-5ccf6a5c", "health": "Unhealthy", "message": "Xid 79"}
    allocated = [{"name": "nvidia.com/gpu", "resources": [device]}]
    (worker,) = (namespace.api.get(f"{namespace.pods}/{pod['metadata']['name']}") or {})["status"]["containerStatuses"]
    namespace.write_pod(pod, containerStatuses=[worker | {"allocatedResourcesStatus": allocated}])
    words = "the kubelet calls nvidia.com/gpu GPU-5ccf6a5c (Xid 79) unhealthy"
    namespace.until("sick", lambda status: words in condition(status, "Running").get("message", ""), words)


def test_a_worker_that_uses_up_the_memory_of_node_after_node_fails_after_its_retries(namespace: Namespace) -> None:
    """The Job's policy ignores these pods, so that the Job itself would make one after another for ever."""
    namespace.create("greedy", retries=1)
    job = namespace.job("greedy")
    evict_one(namespace, "greedy", job)
    namespace.until("greedy", lambda status: status.get("attempt") == 2, "one eviction")
    time.sleep(1)  # creation times are in whole seconds, and the next pod must be newer
    evict_one(namespace, "greedy", job)
    status = namespace.until_phase("greedy", "Failed")
    assert (status["failure"]["reason"], status["attempt"]) == ("OutOfMemory", 2)
    until(lambda: namespace.jobs_of("greedy") == [], "the Job to go", 20)


def evict_one(namespace: Namespace, name: str, job: Json) -> None:
    """Let a pod of the Job run and be evicted like one that has used up the memory of its node."""
    words = "The node was low on resource: memory. Container worker was using 9Gi, request is 2Gi, "
    words += "has larger consumption of memory. "
    target = {"type": "DisruptionTarget", "status": "True", "reason": "TerminationByKubelet", "message": words}
    pod = namespace.add_pod(job)
    namespace.run_pod(job, pod)
    namespace.until_running(name, "True", "WorkerRunning")
    namespace.write_pod(pod, phase="Failed", reason="Evicted", message=words, containerStatuses=[], conditions=[target])
    namespace.write_job(job, active=0, ready=0)


def test_a_worker_on_a_lost_node_is_not_running_and_the_next_attempt_completes(namespace: Namespace) -> None:
    namespace.create("lost")
    job = namespace.job("lost")
    pod = namespace.add_pod(job, node="node-1")
    namespace.run_pod(job, pod)
    namespace.until_running("lost", "True", "WorkerRunning")
    namespace.write_pod(pod, phase="Unknown", reason="NodeLost", message="Node node-1 is unresponsive")
    namespace.delete_pod(job, pod)
    status = namespace.until_running("lost", "False", "NodeLost")
    assert "node-1" in condition(status, "Running")["message"]
    namespace.until("lost", lambda _: ("Warning", "NodeLost") in namespace.events("lost"), "NodeLost")
    namespace.remove_pod(job, pod)
    namespace.complete(namespace.attempt("lost", exit_codes.OK, good_report()))
    assert namespace.until_phase("lost", "Complete")["attempt"] == 1
