"""No pod goes to a node where its image cannot run or its model does not fit, and every pod to nodes that say nothing."""

import json
from typing import Any

import pytest
from transcription_api.spec import parse_spec
from transcription_operator.manifests.job import render_job

from tests.support.kubernetes_objects import SPEC, config, resource
from tests.support.node_affinity import CUDA_12, CUDA_13, gpu_node, may_run, preference


def pod(image: dict[str, Any] | None = None, phase: str | None = None, **spec: Any) -> Any:
    """Return the spec of the pod that a spec becomes with this image alone."""
    settings = config(worker_images=json.dumps([image])) if image else config()
    spec = SPEC | spec
    return render_job(resource(spec), parse_spec(spec), 1, settings, phase=phase)["spec"]["template"]["spec"]


def test_an_image_goes_to_no_node_whose_driver_is_too_old_for_it() -> None:
    runs = [driver for driver in (470, 525, 535, 570, 580, 610) if may_run(pod(CUDA_13), gpu_node(driver))]
    assert runs == [580, 610]
    runs = [driver for driver in (470, 525, 535, 570, 580, 610) if may_run(pod(CUDA_12), gpu_node(driver))]
    assert runs == [525, 535, 570, 580, 610]


def test_the_drivers_version_is_read_from_its_older_label_too() -> None:
    assert may_run(pod(CUDA_13), gpu_node(580, old=True))
    assert not may_run(pod(CUDA_13), gpu_node(570, old=True))


@pytest.mark.parametrize("image", [CUDA_12, CUDA_13, None], ids=["CUDA 12", "CUDA 13", "unknown"])
@pytest.mark.parametrize("labels", [{}, {"kubernetes.io/os": "linux"}, {"nvidia.com/gpu.present": "true"}])
def test_a_node_without_labels_of_gpu_feature_discovery_is_as_good_as_ever(image: Any, labels: dict[str, str]) -> None:
    assert may_run(pod(image), labels)


@pytest.mark.parametrize(
    ("capability", "runs"),
    [
        ("6.1", False),
        ("7.0", False),
        ("7.5", True),
        ("8.0", True),
        ("8.9", True),
        ("9.0", True),
        ("10.3", True),
        ("11.0", False),
        ("12.1", True),
        ("13.0", False),
    ],
)
def test_an_image_goes_to_gpus_that_it_has_code_for(capability: str, runs: bool) -> None:
    assert may_run(pod(CUDA_13), gpu_node(capability=capability)) is runs


def test_float8_goes_to_gpus_that_have_such_numbers() -> None:
    found = {image["reference"]: pod(image, decoding={"precision": "float8"}) for image in (CUDA_12, CUDA_13)}
    every = ("7.5", "8.0", "8.6", "8.7", "8.9", "9.0", "10.3", "12.1")
    for one in (*found.values(), pod(decoding={"precision": "float8"})):
        assert [capability for capability in every if may_run(one, gpu_node(capability=capability))] == list(every[4:])
        assert may_run(one, {})
    assert "affinity" not in pod(decoding={"precision": "float8"}, device={"policy": "CPU"})


def test_code_that_the_driver_compiles_runs_on_later_gpus_too() -> None:
    image = CUDA_13 | {"computeCapabilities": ["8.0", "9.0+PTX"]}
    runs = [one for one in ("7.5", "8.6", "9.0", "10.0", "13.0") if may_run(pod(image), gpu_node(capability=one))]
    assert runs == ["8.6", "9.0", "10.0", "13.0"]


@pytest.mark.parametrize(
    ("spec", "least"),
    [
        ({"model": {"name": "tiny"}}, 1221),
        ({}, 3009),
        ({"model": {"name": "large-v3-turbo"}}, 3009),
        ({"model": {"name": "large-v3"}}, 5696),
        ({"model": {"name": "large-v3"}, "decoding": {"precision": "bfloat16"}}, 5696),
        ({"model": {"name": "large-v3"}, "decoding": {"precision": "float32"}}, 9850),
        ({"model": {"name": "large-v3"}, "decoding": {"precision": "float8"}}, 5462),
        ({"model": {"name": "large-v3"}, "engine": "openai-whisper"}, 8081),
        ({"model": {"name": "large-v3"}, "device": {"minMemory": "40G"}}, 38147),
        ({"model": {"name": "large-v3"}, "device": {"minMemory": "2.5Gi"}}, 2560),
        ({"model": {"s3": {"bucket": "a", "key": "b.pt"}}, "device": {"minMemory": "8000M"}}, 7630),
    ],
)
def test_a_gpu_has_the_memory_that_the_spec_or_the_model_asks_for(spec: dict[str, Any], least: int) -> None:
    assert may_run(pod(CUDA_13, **spec), gpu_node(memory=least))
    assert not may_run(pod(CUDA_13, **spec), gpu_node(memory=least - 1))
    assert not may_run(pod(None, **spec), gpu_node(memory=least - 1))


def test_a_gpu_whose_memory_no_label_tells_is_taken() -> None:
    assert may_run(pod(CUDA_13, device={"minMemory": "40G"}), gpu_node(memory=None))


def test_a_model_of_ones_own_asks_for_no_memory() -> None:
    assert may_run(pod(CUDA_13, model={"s3": {"bucket": "a", "key": "b.pt"}}), gpu_node(memory=1))


def test_the_memory_of_a_part_of_a_gpu_is_its_own() -> None:
    found = pod(CUDA_13, device={"resourceName": "nvidia.com/mig-1g.5gb", "minMemory": "4G"})
    whole = gpu_node(memory=40960)
    assert may_run(found, whole | {"nvidia.com/mig-1g.5gb.memory": "4864"})
    assert not may_run(found, whole | {"nvidia.com/mig-1g.5gb.memory": "2432"})


def test_preferred_gpus_keep_no_pod_from_a_node_where_the_cpu_goes_on() -> None:
    found = pod(CUDA_13, device={"policy": "PreferGPU"})
    assert may_run(found, gpu_node(470))
    assert preference(found, gpu_node(580)) > preference(found, gpu_node(470)) == 0


@pytest.mark.parametrize("phase", ["plan", "collect"])
def test_a_phase_without_a_gpu_goes_to_any_node(phase: str) -> None:
    many = {"source": {"s3": {"bucket": "a", "prefix": "b/"}}}
    assert "affinity" not in pod(CUDA_13, phase, **many)
    assert "affinity" not in pod(CUDA_13, device={"policy": "CPU"})
    assert not may_run(pod(CUDA_13, "transcribe", **many), gpu_node(470))


def test_the_image_of_the_pod_is_the_one_whose_needs_its_affinity_has() -> None:
    (container,) = pod(CUDA_12)["containers"]
    assert container["image"] == "worker:12"
    assert pod()["containers"][0]["image"] == "registry.example/worker:1"


def test_the_worker_is_not_told_what_the_pod_itself_has() -> None:
    (task, *_) = pod(device={"minMemory": "8G"})["containers"][0]["env"]
    assert "minMemory" not in task["value"]
