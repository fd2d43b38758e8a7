"""A drained node, and a Job that ended while no operator ran, cost no transcript."""

from collections.abc import Iterator

import pytest

from tests.support.helm import NAMESPACE, RELEASE
from tests.support.job_namespace import PATIENCE, JobNamespace
from tests.support.stack import s3
from tests.support.stack.kube import kubectl, until

# In seconds. The drained pod has run for longer when it is evicted, so that its run must not count as waiting.
PENDING_DEADLINE = 15


@pytest.fixture(scope="module")
def namespace(stored: None) -> Iterator[JobNamespace]:
    """Yield a namespace of this module's own."""
    with s3.connect() as client:
        namespace = JobNamespace("chaos-absences", client)
        namespace.ensure()
        yield namespace
        namespace.remove(wait=False)


def scale_operator(replicas: int) -> None:
    """Set the number of operator pods, and wait until they are there or gone."""
    kubectl("scale", f"deployment/{RELEASE}", f"--replicas={replicas}", "-n", NAMESPACE)
    kubectl("rollout", "status", f"deployment/{RELEASE}", "-n", NAMESPACE, "--timeout=120s")


def test_a_job_that_completed_while_no_operator_ran_is_complete_though_its_pod_is_gone(
    namespace: JobNamespace,
) -> None:
    namespace.apply("unwatched")
    namespace.reaches("unwatched", "Running")
    job = namespace.first_job("unwatched")
    scale_operator(0)
    try:
        kubectl("wait", "--for=condition=Complete", f"job/{job}", "-n", namespace.name, f"--timeout={PATIENCE}s")
        kubectl("delete", "pods", "-l", f"job-name={job}", "-n", namespace.name)
    finally:
        scale_operator(1)
    namespace.assert_transcribed("unwatched")


def test_a_drained_pod_that_ran_longer_than_the_pending_deadline_runs_again(namespace: JobNamespace) -> None:
    namespace.apply("drained", "long.wav", pendingDeadlineSeconds=PENDING_DEADLINE)
    namespace.reaches("drained", "Running", "transcribe")
    (first,) = namespace.pods("drained")
    # The Job cannot complete so soon: this waits until the deadline would be over.
    job, patience = f"job/{namespace.first_job('drained')}", f"--timeout={PENDING_DEADLINE}s"
    kubectl("wait", "--for=condition=Complete", job, "-n", namespace.name, patience, check=False)
    node = first["spec"]["nodeName"]
    chosen = f"--pod-selector=transcription.dev/uid={first['metadata']['labels']['transcription.dev/uid']}"
    try:
        kubectl("drain", node, chosen, "--delete-emptydir-data", "--ignore-daemonsets", "--timeout=120s")
    finally:
        kubectl("uncordon", node)
    until(
        lambda: [p for p in namespace.pods("drained") if p["metadata"]["uid"] != first["metadata"]["uid"]],
        PATIENCE,
        "a second pod",
    )
    namespace.assert_transcribed("drained", "long")
    assert namespace.status("drained")["attempt"] == 1, "a drain is no failed attempt"
