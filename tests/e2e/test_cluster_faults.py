"""What a cluster refuses, adds or suspends ends in a transcript, or in a reason that says what happened.

All resources are applied at once and wait side by side, so that the module takes as long as the slowest of them.
"""

from collections.abc import Iterator

import pytest

from tests.support.job_namespace import ON_GPU_NODE, PATIENCE, JobNamespace, condition, spoken
from tests.support.stack.admission import allow_pods, forbid_pods, inject_sidecar, remove_sidecar
from tests.support.stack.kube import kubectl, until

# In an environment variable a kubelet would make one dollar of the two, and that is another object.
DOLLARS = "price$$list"
NO_QUOTA = "without-quota"


@pytest.fixture(scope="module", autouse=True)
def applied(namespace: JobNamespace) -> Iterator[None]:
    """Apply the resources of all tests, with the quota, the mesh and the queue that some of them meet."""
    inject_sidecar(namespace.name, "sidecar")
    forbid_pods(namespace.name, NO_QUOTA)
    namespace.client.upload_file(str(spoken("english")[0]), "audio", f"{DOLLARS}.wav")
    namespace.client.upload_file(str(spoken("portuguese")[0]), "audio", "price$list.wav")
    namespace.apply("queued")
    suspend_as_a_queue(namespace, "queued", suspend=True)
    namespace.apply("refused", device={"policy": "CPU", **ON_GPU_NODE, "priorityClassName": NO_QUOTA})
    namespace.apply("sidecar")
    namespace.apply("dollars", f"{DOLLARS}.wav")
    unschedulable = {"policy": "CPU", "nodeSelector": {"no": "node"}}
    namespace.apply("never-scheduled", device=unschedulable, activeDeadlineSeconds=10)
    yield
    remove_sidecar(namespace.name)
    kubectl("delete", "priorityclass", NO_QUOTA, "--ignore-not-found")


def suspend_as_a_queue(namespace: JobNamespace, name: str, suspend: bool) -> None:
    """Suspend or resume the Job itself, as Kueue does with all Jobs of a namespace that it manages."""
    patch = f'{{"spec": {{"suspend": {str(suspend).lower()}}}}}'
    kubectl("patch", "job", namespace.first_job(name), "-n", namespace.name, "--type=merge", "-p", patch)


def test_a_pod_refused_by_a_quota_is_told_in_the_apiservers_words(namespace: JobNamespace) -> None:
    def told() -> bool:
        return "exceeded quota" in condition(namespace.status("refused"), "Running").get("message", "")

    until(told, PATIENCE, "the apiserver's words in the status")
    allow_pods(namespace.name, NO_QUOTA)


def test_a_job_that_a_queue_suspends_stays_suspended_until_the_queue_resumes_it(namespace: JobNamespace) -> None:
    def waits() -> bool:
        suspended = condition(namespace.status("queued"), "Suspended")
        return (suspended.get("status"), suspended.get("reason")) == ("True", "WaitingForQueue")

    until(waits, PATIENCE, "the status to tell of the queue")
    until(lambda: not namespace.pods("queued"), PATIENCE, "the pods to go")
    suspend_as_a_queue(namespace, "queued", suspend=False)
    namespace.assert_transcribed("queued")
    assert namespace.status("queued")["attempt"] == 1


def test_a_key_with_dollars_is_the_object_that_is_transcribed(namespace: JobNamespace) -> None:
    namespace.assert_transcribed("dollars", stem=DOLLARS)
    assert f"{namespace.name}/dollars/{DOLLARS}.json" in [r["key"] for r in namespace.status("dollars")["results"]]


def test_a_deadline_over_while_no_node_fits_says_so(namespace: JobNamespace) -> None:
    status = namespace.ended("never-scheduled")
    assert status["failure"]["reason"] == "DeadlineExceeded", status
    assert "node" in status["failure"]["message"], status["failure"]


def test_a_sidecar_that_never_ends_does_not_keep_the_resource_running(namespace: JobNamespace) -> None:
    namespace.assert_transcribed("sidecar")
    assert "sidecar in pod" in condition(namespace.status("sidecar"), "Complete")["message"]
    until(lambda: not namespace.pods("sidecar"), PATIENCE, "the pod with the sidecar to go")


def test_the_refused_pod_comes_once_the_quota_is_lifted(namespace: JobNamespace) -> None:
    allow_pods(namespace.name, NO_QUOTA)
    namespace.assert_transcribed("refused")
