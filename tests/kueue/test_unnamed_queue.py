"""Where Kueue manages Jobs that name no queue, each phase waits for it, says so, and runs once it has a queue.

Pods that do not become ready in time are given back to the queue: the resource says so, waits, and fails nothing.
"""

import json

import pytest
from transcription_api import names

from tests.support.job_namespace import ON_GPU_NODE, JobNamespace, condition
from tests.support.many_pods import over
from tests.support.queued import job_of, waits_saying
from tests.support.stack.kube import kubectl, until
from tests.support.stack.kueue import Queue, ensure_kueue, kueue_down, workloads

# Longer than a pod takes here until it is ready.
READY_SECONDS = 60


@pytest.fixture(scope="module", autouse=True)
def managed(namespace: JobNamespace) -> None:
    """Let Kueue manage all Jobs of the namespace, and give back those whose pods are not ready in time."""
    ensure_kueue(
        manageJobsWithoutQueueName=True,
        managedJobsNamespaceSelector={"matchLabels": {"kubernetes.io/metadata.name": namespace.name}},
        waitForPodsReady={"timeout": f"{READY_SECONDS}s", "requeuingStrategy": {"backoffBaseSeconds": 600}},
    )
    # It makes the flavor of nodes with GPUs.
    Queue(namespace.name, "never-ready").ensure(cpu="1")
    unready = {"policy": "CPU", **ON_GPU_NODE, "nodeSelector": {"no": "node"}}
    namespace.apply("never-ready", device=unready, queueName="never-ready", pendingDeadlineSeconds=READY_SECONDS * 10)


def test_each_phase_has_a_queue_once_the_namespace_has_a_default_one(namespace: JobNamespace) -> None:
    prefix = f"{namespace.name}/calls/"
    for number in range(2):
        source = {"Bucket": "audio", "Key": "english.wav"}
        namespace.client.copy_object(Bucket="audio", Key=f"{prefix}{number}.wav", CopySource=source)
    spec = over(namespace, "calls", prefix, deletionPolicy="DeleteResults")
    kubectl("apply", "-f", "-", text=json.dumps(namespace.manifest("calls", spec)))
    plan = job_of(namespace, "calls", "plan")["metadata"]["name"]
    waits_saying(namespace, "calls", f"Job {plan} is suspended by somebody else, such as a queue")
    waits_saying(namespace, "calls", "doesn't exist")
    Queue(namespace.name, "default", "default-queue.yaml").ensure(cpu="1")
    # Kueue gives the default queue to new Jobs alone. The one that deletes results is there from the start, too.
    kubectl("label", "job", "-n", namespace.name, "-l", f"!{names.LABEL_QUEUE}", f"{names.LABEL_QUEUE}=default")
    assert namespace.ended("calls")["phase"] == "Complete"
    for phase in ("plan", "transcribe", "collect"):
        job = job_of(namespace, "calls", phase)
        assert job["metadata"]["labels"][names.LABEL_QUEUE] == "default"
        assert workloads(namespace.name, job["metadata"]["name"])
    kubectl("delete", "tj", "calls", "-n", namespace.name)
    until(
        lambda: not namespace.written("calls"),
        120,
        "the results to be deleted by a Job that waits in the default queue",
    )


def test_a_job_whose_pod_is_not_ready_in_time_is_given_back_and_waits(namespace: JobNamespace) -> None:
    status = waits_saying(namespace, "never-ready", "PodsReady timeout")
    assert (status["attempt"], status["jobRef"]["ordinal"]) == (1, 1)


def test_while_kueue_is_down_no_job_is_made_and_the_resource_says_why(namespace: JobNamespace) -> None:
    Queue(namespace.name, "again").ensure(cpu="1")
    with kueue_down():
        namespace.apply("again", queueName="again")

        def refused() -> bool:
            running = condition(namespace.status("again"), "Running")
            return running.get("reason") == "JobNotCreated" and "failed calling webhook" in running["message"]

        until(refused, 60, "the words of the API server, which cannot call Kueue's webhook")
    namespace.assert_transcribed("again")
    assert namespace.status("again")["jobRef"]["ordinal"] == 1
