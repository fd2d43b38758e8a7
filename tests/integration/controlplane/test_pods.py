"""What becomes of pods beside the worker's own end: they are drained, kept alive by a sidecar, lost or evicted."""

import time

import pytest
from transcription_api import exit_codes, reasons
from transcription_api.report import failure

from tests.support.simulated_cluster import Namespace, condition, good_report, until

pytestmark = pytest.mark.usefixtures("operator")
# The time at which a worker ended that a sidecar has outlived for long.
LONG_AGO = "2026-01-01T10:00:00Z"


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
    job = namespace.attempt("meshed", exit_codes.OK, good_report(), sidecar="istio-proxy", finished=LONG_AGO)
    namespace.write_job(job, ready=0)
    status = namespace.until_phase("meshed", "Complete")
    assert "istio-proxy" in condition(status, "Complete")["message"]
    until(lambda: namespace.jobs_of("meshed") == [], "the Job to go", 20)


def test_a_worker_that_failed_beside_a_sidecar_that_never_ends_is_tried_again(namespace: Namespace) -> None:
    namespace.create("stuck")
    report = failure(reasons.ENDPOINT_UNREACHABLE, "refused")
    job = namespace.attempt("stuck", exit_codes.UNREACHABLE, report, sidecar="istio-proxy", finished=LONG_AGO)
    namespace.write_job(job, ready=0)
    until(lambda: namespace.pods_of(job) == [], "the pod to go", 20)
    namespace.write_job(job, active=0, failed=1)
    namespace.until("stuck", lambda status: status["attempt"] == 2, "attempt 2")
    namespace.complete(namespace.attempt("stuck", exit_codes.OK, good_report()))
    namespace.until_phase("stuck", "Complete")
