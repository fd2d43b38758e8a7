"""With Kueue itself: a resource that names a queue waits for it, is preempted and goes on, and nobody fights over its Job.

One resource waits from the start to the end, longer than its deadline for pending pods.
"""

import json
import time
from collections.abc import Iterator
from datetime import UTC, datetime
from typing import Any

import numpy as np
import pytest
import yaml

from tests.support.job_namespace import ENDED, ON_GPU_NODE, PATIENCE, JobNamespace, condition, upload_to_each
from tests.support.many_pods import over, pods_that_transcribe
from tests.support.queued import change, job_of, waits_saying
from tests.support.repository import ROOT
from tests.support.speech import speak
from tests.support.stack.admission import PAUSE_IMAGE
from tests.support.stack.kube import apply, get, kubectl, until
from tests.support.stack.kueue import Queue, admission_of, pods_of, workloads
from tests.support.stack.operator_sample import OperatorSamples

QUEUE_NAME: str = yaml.safe_load((ROOT / "examples/kueue.yaml").read_text())["spec"]["queueName"]
# Of the pods of the test cluster, in thousandths of a core.
POD = 100
FILES, FILE_SECONDS, SHARDS = 24, 45.0, 4
MINUTES, MINUTES_TIMES = "kueue-minutes.wav", 20
PENDING_DEADLINE = 30
# Seconds in which nothing may be written, since nothing happens. One write may still be of what happened before.
QUIET_SECONDS, QUIET_WRITES = 30.0, 1


@pytest.fixture(scope="module", autouse=True)
def waiting(namespace: JobNamespace) -> None:
    """Apply the example's queue without quota of CPU, and a resource that waits in it meanwhile."""
    Queue(namespace.name, QUEUE_NAME).ensure(cpu="0")
    namespace.apply("waiting", queueName=QUEUE_NAME, pendingDeadlineSeconds=PENDING_DEADLINE)


@pytest.fixture(scope="module")
def recordings(namespace: JobNamespace) -> str:
    """Return a prefix of the source with FILES recordings; beside it is one that takes long enough to be interrupted."""
    prefix = f"{namespace.name}/{FILES}-calls/"
    samples, _ = speak("en", 8_300_001, FILE_SECONDS)
    upload_to_each(namespace.client, samples, (f"{prefix}{number:02}.wav" for number in range(FILES)))
    upload_to_each(namespace.client, np.tile(samples, MINUTES_TIMES), [MINUTES])
    return prefix


def over_shards(namespace: JobNamespace, name: str, recordings: str, shards: int, **changes: Any) -> None:
    """Apply a resource over the recordings in about so many shards."""
    shard = {"minutes": 1, "speed": FILES * FILE_SECONDS / 60 / shards}
    spec = over(namespace, name, recordings, shard=shard, **changes)
    kubectl("apply", "-f", "-", text=json.dumps(namespace.manifest(name, spec)))


def writes_in_a_quiet_time() -> int:
    """Return how much the operator has written while nothing happened."""
    samples = OperatorSamples()
    samples.take()
    time.sleep(QUIET_SECONDS)
    samples.take()
    return samples.writes


def test_a_queue_without_quota_is_waited_for_with_kueues_words(namespace: JobNamespace) -> None:
    waits_saying(namespace, "waiting", "cpu in flavor gpu-nodes")
    assert namespace.pods("waiting") == []


def test_a_queue_that_does_not_exist_is_named_and_waited_for(namespace: JobNamespace) -> None:
    namespace.apply("nowhere", queueName="nowhere")
    waits_saying(namespace, "nowhere", "LocalQueue nowhere doesn't exist")
    Queue(namespace.name, "nowhere").ensure(cpu=f"{POD}m", stop_policy="Hold")
    waits_saying(namespace, "nowhere", "is inactive")
    Queue(namespace.name, "nowhere").ensure(cpu=f"{POD}m")
    namespace.assert_transcribed("nowhere")
    assert namespace.status("nowhere")["attempt"] == 1


def test_a_resource_that_is_deleted_while_it_waits_leaves_no_workload(namespace: JobNamespace) -> None:
    namespace.apply("deleted", queueName=QUEUE_NAME)
    job = namespace.first_job("deleted")
    until(lambda: workloads(namespace.name, job), 30, "the workload")
    kubectl("delete", "tj", "deleted", "-n", namespace.name)
    until(lambda: not workloads(namespace.name, job), 60, "the workload to go")


def test_a_queue_that_is_drained_takes_its_job_back_and_gives_it_again(
    namespace: JobNamespace, recordings: str
) -> None:
    queue = Queue(namespace.name, "drained")
    queue.ensure(cpu=f"{POD}m")
    namespace.apply("drained", MINUTES, queueName=queue.name)
    namespace.reaches("drained", "Running")
    queue.ensure(cpu=f"{POD}m", stop_policy="HoldAndDrain")
    waits_saying(namespace, "drained", "ClusterQueue")
    until(lambda: not namespace.pods("drained"), 60, "the pod to go")
    queue.ensure(cpu=f"{POD}m")
    status = namespace.ended("drained")
    assert (status["phase"], status["attempt"], status["jobRef"]["ordinal"]) == ("Complete", 1, 1)


@pytest.fixture(scope="module")
def urgent(namespace: JobNamespace) -> Iterator[dict[str, Any]]:
    """Yield a Job of a higher WorkloadPriorityClass, which takes two pods' quota and runs until it is deleted."""
    kind = {"apiVersion": "kueue.x-k8s.io/v1beta2", "kind": "WorkloadPriorityClass"}
    apply({**kind, "metadata": {"name": "urgent"}, "value": 1000})
    restricted = {"allowPrivilegeEscalation": False, "capabilities": {"drop": ["ALL"]}}
    requests = {"cpu": f"{2 * POD}m", "memory": "16Mi"}
    container = {"name": "pause", "image": PAUSE_IMAGE, "resources": {"requests": requests}}
    pod = {
        "restartPolicy": "Never",
        "terminationGracePeriodSeconds": 1,
        "securityContext": {"runAsNonRoot": True, "runAsUser": 65532, "seccompProfile": {"type": "RuntimeDefault"}},
        "containers": [container | {"securityContext": restricted}],
        **ON_GPU_NODE,
    }
    labels = {"kueue.x-k8s.io/queue-name": "many", "kueue.x-k8s.io/priority-class": "urgent"}
    metadata = {"name": "urgent", "namespace": namespace.name, "labels": labels}
    yield {
        "apiVersion": "batch/v1",
        "kind": "Job",
        "metadata": metadata,
        "spec": {"suspend": True, "template": {"spec": pod}},
    }
    kubectl("delete", "job", "urgent", "-n", namespace.name, "--ignore-not-found")


def test_many_files_are_each_transcribed_once_although_a_workload_of_higher_priority_preempts_them(
    namespace: JobNamespace, recordings: str, urgent: dict[str, Any]
) -> None:
    queue = Queue(namespace.name, "many")
    queue.ensure(cpu="0")
    over_shards(namespace, "calls", recordings, SHARDS, queueName=queue.name)
    status = waits_saying(namespace, "calls", "cpu in flavor gpu-nodes")
    assert status["plan"]["toTranscribe"] == FILES
    job = job_of(namespace, "calls", "transcribe")["metadata"]["name"]
    change(namespace, "calls", parallelism=3)
    until(lambda: [pods_of(item) for item in workloads(namespace.name, job)] == [3], 60, "a workload of 3 pods")
    change(namespace, "calls", parallelism=2)
    queue.ensure(cpu=f"{2 * POD}m")

    def finished() -> str:
        return str((get("job", job, namespace.name) or {}).get("status", {}).get("completedIndexes", ""))

    until(finished, PATIENCE, "an index to be finished")
    apply(urgent)
    until(lambda: admission_of("urgent", namespace.name), 60, "the urgent Job to be admitted")
    waits_saying(namespace, "calls", "")
    until(lambda: not pods_that_transcribe(namespace, "calls"), 60, "the pods to go")
    kept, before = finished(), written_at(namespace)
    assert kept
    waits_saying(namespace, "calls", "insufficient")
    assert finished() == kept
    kubectl("delete", "job", "urgent", "-n", namespace.name)
    until(lambda: pods_that_transcribe(namespace, "calls"), PATIENCE, "pods that go on")
    # Another number while they run is another workload, which Kueue admits anew.
    change(namespace, "calls", parallelism=1)
    until(lambda: [pods_of(item) for item in workloads(namespace.name, job)] == [1], 60, "a workload of one pod")
    status = namespace.ended("calls")
    assert status["phase"] == "Complete", status
    assert status["jobRef"]["ordinal"] == 3  # plan, transcribe, collect: no Job was made twice
    assert status["files"]["done"] + status["files"].get("reused", 0) == FILES
    assert before
    assert before.items() <= written_at(namespace).items()
    for phase in ("plan", "collect"):
        assert workloads(namespace.name, job_of(namespace, "calls", phase)["metadata"]["name"]) == []


def written_at(namespace: JobNamespace) -> dict[str, Any]:
    """Return the texts that are there, and when each was written."""
    found = namespace.client.list_objects_v2(Bucket="transcripts", Prefix=f"{namespace.name}/calls/")
    return {item["Key"]: item["LastModified"] for item in found.get("Contents", []) if item["Key"].endswith(".txt")}


def test_fewer_pods_are_admitted_where_the_job_has_kueues_annotation_for_it(
    namespace: JobNamespace, recordings: str
) -> None:
    queue = Queue(namespace.name, "part")
    queue.ensure(cpu="0")
    over_shards(namespace, "part", recordings, 3, queueName=queue.name)
    job = job_of(namespace, "part", "transcribe")["metadata"]["name"]
    kubectl("annotate", "job", job, "-n", namespace.name, "kueue.x-k8s.io/job-min-parallelism=1")
    queue.ensure(cpu=f"{POD}m")
    until(lambda: admission_of(job, namespace.name), 60, "the Job to be admitted")
    found = get("job", job, namespace.name)
    assert found is not None
    assert found["spec"]["parallelism"] == 1
    change(namespace, "part", parallelism=3)

    def refused() -> bool:
        suspended = condition(namespace.status("part"), "Suspended")
        return suspended.get("reason") == "JobNotUpdated" and "partial admission is enabled" in suspended["message"]

    until(refused, 60, "Kueue to refuse another number while the pods run")
    status = namespace.ended("part")
    assert (status["phase"], status["jobRef"]["ordinal"]) == ("Complete", 3), status


def test_spec_suspend_and_kueues_suspension_do_not_fight(namespace: JobNamespace, recordings: str) -> None:
    queue = Queue(namespace.name, "both")
    queue.ensure(cpu=f"{POD}m")
    namespace.apply("both", MINUTES, queueName=queue.name)
    namespace.reaches("both", "Running")
    change(namespace, "both", suspend=True)
    namespace.reaches("both", "Suspended")
    until(lambda: not namespace.jobs("both"), 60, "the Job to go")
    assert condition(namespace.status("both"), "Suspended")["reason"] == "SuspendedBySpec"
    assert writes_in_a_quiet_time() <= QUIET_WRITES
    queue.ensure(cpu="0")
    change(namespace, "both", suspend=False)
    waits_saying(namespace, "both", "cpu in flavor gpu-nodes")
    assert writes_in_a_quiet_time() <= QUIET_WRITES
    queue.ensure(cpu=f"{POD}m")
    status = namespace.ended("both")
    assert (status["phase"], status["jobRef"]["ordinal"]) == ("Complete", 2)


def test_after_a_wait_beyond_its_deadline_the_resource_is_admitted_and_complete(namespace: JobNamespace) -> None:
    resource = get("tj", "waiting", namespace.name)
    assert resource is not None
    created = resource["metadata"]["creationTimestamp"]
    until(lambda: seconds_since(created) > PENDING_DEADLINE, PENDING_DEADLINE, "the deadline to pass")
    assert resource["status"]["phase"] not in ENDED
    Queue(namespace.name, QUEUE_NAME).ensure(cpu=f"{POD}m")
    namespace.assert_transcribed("waiting")
    assert namespace.status("waiting")["attempt"] == 1


def seconds_since(text: str) -> float:
    """Return how long ago an RFC 3339 time was."""
    return (datetime.now(UTC) - datetime.fromisoformat(text)).total_seconds()
