"""The image is chosen by the nodes that there are, and a pod that gets no node says which label stands against it."""

import dataclasses
import json
from datetime import timedelta
from typing import Any

import pytest
from transcription_api import reasons
from transcription_operator.config import Config
from transcription_operator.models.nodes import NodeView
from transcription_operator.models.objects import JobView, PodView
from transcription_operator.reconcile.decide import decide

from tests.support.decisions import NOW, condition, observe
from tests.support.kubernetes_objects import config, job, pod
from tests.support.many_files import World
from tests.support.node_affinity import CUDA_12, CUDA_13, gpu_node, may_run

WORDS = "0/3 nodes are available: 3 node(s) didn't match Pod's node affinity/selector."
OLD, NEW = gpu_node(550), gpu_node(580)


def settings(*images: dict[str, Any]) -> Config:
    return config(worker_images=json.dumps(list(images or (CUDA_12, CUDA_13))))


def nodes(*labels: dict[str, str]) -> tuple[NodeView, ...]:
    return tuple(NodeView(f"node-{number}", found) for number, found in enumerate(labels))


def created(known: tuple[NodeView, ...] | None, config: Config | None = None, **device: Any) -> Any:
    """Return the spec of the pod of the Job that is created where these nodes are known."""
    plan = decide(observe({"device": device}, nodes=known), config or settings(), NOW)
    assert plan.create_job is not None
    return plan.create_job["spec"]["template"]["spec"]


def image(pod: Any) -> str:
    return str(pod["containers"][0]["image"])


def test_the_newest_cuda_that_a_node_can_run_is_taken() -> None:
    assert image(created(nodes(OLD, NEW))) == "worker:13"
    assert image(created(nodes(OLD, OLD))) == "worker:12"
    assert may_run(created(nodes(OLD)), OLD)


def test_a_cordoned_node_decides_only_where_no_other_can_run_an_image() -> None:
    """While drivers are updated node by node, each Job would else wait for the one that is out of service."""
    old, new = nodes(OLD, NEW)
    assert image(created((old, new._replace(cordoned=True)))) == "worker:12"
    assert image(created((new._replace(cordoned=True),))) == "worker:13"


def test_versions_of_cuda_are_compared_as_numbers() -> None:
    images = (CUDA_12 | {"reference": "worker:12.10", "cuda": "12.10"}, CUDA_12 | {"cuda": "12.8"})
    assert image(created(nodes(OLD), settings(*images))) == "worker:12.10"
    assert image(created(nodes(OLD), settings(*reversed(images)))) == "worker:12.10"


@pytest.mark.parametrize("known", [None, (), nodes({}), nodes({"nvidia.com/gpu.present": "true"})])
def test_the_first_image_is_taken_where_nothing_is_known_of_nodes(known: Any) -> None:
    assert image(created(known)) == "worker:12"


def test_the_first_image_is_taken_where_no_node_can_run_any_so_that_an_autoscaler_sees_a_pod() -> None:
    assert image(created(nodes(gpu_node(470)))) == "worker:12"


def test_nodes_that_the_resource_does_not_select_do_not_count() -> None:
    known = nodes(OLD | {"pool": "a"}, NEW | {"pool": "b"})
    assert image(created(known, nodeSelector={"pool": "a"})) == "worker:12"
    assert image(created(known, nodeSelector={"pool": "b"})) == "worker:13"


def test_a_worker_on_the_cpu_has_the_first_image_whatever_the_nodes() -> None:
    assert image(created(nodes(NEW), policy="CPU")) == "worker:12"


def unschedulable() -> PodView:
    unscheduled = [{"type": "PodScheduled", "status": "False", "reason": "Unschedulable", "message": WORDS}]
    return pod(spec={"nodeName": None}, phase="Pending", conditions=unscheduled)


def waiting(known: tuple[NodeView, ...] | None, running: JobView | None = None, **spec: Any) -> Any:
    """Return the condition Running of a resource whose pod is unschedulable."""
    current = running or dataclasses.replace(job(active=1), image="worker:13")
    plan = decide(observe(spec, job=current, pods=(unschedulable(),), nodes=known), settings(), NOW)
    assert plan.status is not None
    return condition(plan.status, "Running") if plan.status.failure is None else plan.status.failure


def test_a_pod_without_a_node_is_told_which_label_of_which_nodes_stands_against_it() -> None:
    found = waiting(nodes(OLD, OLD))
    assert found.reason == "NoMatchingNode"
    assert "no node fits worker:13 with CUDA 13.2" in found.message
    assert "nvidia.com/cuda.driver-version.major is 550, expected at least 580 on node-0, node-1" in found.message
    assert WORDS in found.message


def test_no_matching_node_is_nothing_permanent() -> None:
    assert not reasons.NO_MATCHING_NODE.permanent
    plan = decide(observe(job=job(active=1)), settings(), NOW)
    assert plan.delete_jobs == ()


@pytest.mark.parametrize(
    ("labels", "spec", "words"),
    [
        (
            gpu_node(capability="7.0"),
            {},
            "nvidia.com/gpu.compute.major is 7 (nvidia.com/gpu.compute.minor is 0), expected",
        ),
        (gpu_node(memory=2048), {}, "nvidia.com/gpu.memory is 2048, expected at least 3009 MiB"),
        (NEW, {"device": {"nodeSelector": {"pool": "a"}}}, "pool is missing, expected 'a'"),
        (gpu_node(470, old=True), {}, "nvidia.com/cuda.driver.major is 470, expected at least 580"),
    ],
)
def test_each_label_is_told_with_its_value_and_what_was_expected(labels: Any, spec: Any, words: str) -> None:
    assert words in waiting(nodes(labels), **spec).message


def test_a_thousand_nodes_are_told_in_a_few_words_those_of_most_nodes_first() -> None:
    known = nodes(*(gpu_node(400 + number % 90) for number in range(900)), *[gpu_node(550)] * 100)
    message = waiting(known).message
    assert "is 550, expected at least 580 on node-900, node-901, node-902 and 97 more; " in message
    assert "and 87 other obstacles" in message
    assert len(message) < 1024


@pytest.mark.parametrize("known", [None, (), nodes({}), nodes(OLD, NEW)], ids=["unread", "none", "unlabelled", "fits"])
def test_the_schedulers_words_stay_where_labels_explain_nothing(known: Any) -> None:
    found = waiting(known)
    assert (found.reason, found.message) == ("Unschedulable", WORDS)


def test_a_job_with_an_image_of_earlier_settings_is_explained_by_the_scheduler_alone() -> None:
    current = dataclasses.replace(job(active=1), image="worker:of-last-year")
    assert waiting(nodes(OLD), current).reason == "Unschedulable"


def test_the_failure_after_the_pending_deadline_has_the_labels_too() -> None:
    found = waiting(nodes(OLD), pendingDeadlineSeconds=60)
    assert found.reason == "PendingDeadlineExceeded"
    assert "nvidia.com/cuda.driver-version.major is 550" in found.message


def test_pods_of_many_files_get_the_image_and_the_explanation_alike() -> None:
    world = World(settings=settings(), nodes=nodes(NEW))
    world.settle()
    world.play("plan")
    job_of_pods = world.job()
    assert (job_of_pods.phase, job_of_pods.image) == ("transcribe", "worker:13")
    world.pods[job_of_pods.name], world.nodes = (unschedulable(),), nodes(OLD)
    world.write_job(active=1)
    world.now += timedelta(seconds=60)
    world.settle()
    assert condition(world.parsed(), "Running").reason == "NoMatchingNode"
    assert world.events[-1] == "NoMatchingNode"
