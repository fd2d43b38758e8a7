"""Beside a GPU a pod requests the CPU and memory with which audio is ready before the GPU wants it."""

import json
from fractions import Fraction
from typing import Any

import pytest
from transcription_api.spec import parse_spec
from transcription_operator.manifests.front_end import LABELS, OTHERS, cpu_quantity, gpu_class
from transcription_operator.manifests.job import render_job

from tests.support.kubernetes_objects import SPEC, config, resource
from tests.support.repository import ROOT

H100 = {"nvidia.com/gpu.product": "NVIDIA-H100-80GB-HBM3"}
LARGE = {"model": {"name": "large-v3"}}
CHUNKED = {"decoding": {"longForm": "chunked"}}


def requests(spec: dict[str, Any], **settings: str) -> Any:
    spec = SPEC | spec
    rendered: Any = render_job(resource(spec), parse_spec(spec), 1, config(**settings))
    (container,) = rendered["spec"]["template"]["spec"]["containers"]
    return container["resources"]["requests"]


def cpu(spec: dict[str, Any], **settings: str) -> str | None:
    found: str | None = requests(spec, **settings).get("cpu")
    return found


def on(product: str, **device: Any) -> dict[str, Any]:
    return {"device": {"nodeSelector": {"nvidia.com/gpu.product": product}} | device}


# 1 for the engine, and what the GPU takes over what a core decodes: 3700 / 450 is 8.2.
@pytest.mark.parametrize(
    ("spec", "expected"),
    [
        (on("NVIDIA-H200"), "10"),
        (on("NVIDIA-H200") | LARGE, "5400m"),
        (on("NVIDIA-H100-80GB-HBM3"), "9300m"),
        (on("NVIDIA-H100-80GB-HBM3") | LARGE, "4400m"),
        (on("NVIDIA-H100-80GB-HBM3") | CHUNKED, "19"),
        (on("NVIDIA-A100-SXM4-40GB"), "3400m"),
        (on("NVIDIA-L4"), "1800m"),
        (on("NVIDIA-L4") | LARGE, "1300m"),
        ({}, "1800m"),
    ],
)
def test_a_faster_gpu_a_faster_model_and_silence_detection_take_more_cpu(spec: dict[str, Any], expected: str) -> None:
    assert cpu(spec) == expected


def test_each_gpu_of_the_pod_has_as_much() -> None:
    assert cpu(on("NVIDIA-L4", gpus=4)) == "7200m"


def test_a_part_of_a_gpu_takes_its_part() -> None:
    assert cpu(on("NVIDIA-H100-80GB-HBM3", resourceName="nvidia.com/mig-3g.40gb")) == "4600m"
    assert cpu(on("NVIDIA-A100-SXM4-40GB-MIG-1g.5gb")) == "1400m"
    assert cpu({"device": {"resourceName": "nvidia.com/mig-1g.10gb"}}) == cpu({})


def test_memory_grows_with_the_files_that_are_decoded_at_the_same_time() -> None:
    assert requests({})["memory"] == "2Gi"
    assert requests(on("NVIDIA-H100-80GB-HBM3"))["memory"] == "3Gi"
    assert requests(on("NVIDIA-H100-80GB-HBM3") | CHUNKED)["memory"] == "5Gi"


@pytest.mark.parametrize("label", LABELS)
def test_the_gpu_is_known_by_the_labels_that_its_node_must_have(label: str) -> None:
    assert cpu({"device": {"nodeSelector": {label: "nvidia-h100-80gb"}}}) == "9300m"
    assert cpu({}, worker=json.dumps({"nodeSelector": {label: "h100"}})) == "9300m"


def test_the_administrator_may_say_which_gpu_all_nodes_have() -> None:
    settings = {"worker": json.dumps({"gpuProduct": "NVIDIA-H100-80GB-HBM3"})}
    assert cpu({}, **settings) == "9300m"
    assert cpu(on("NVIDIA-L4"), **settings) == "1800m"


@pytest.mark.parametrize("part", ["requests", "limits"])
def test_what_the_user_or_the_administrator_says_of_cpu_holds(part: str) -> None:
    amounts = {part: {"cpu": "3"}}
    expected = "3" if part == "requests" else None  # of a limit alone Kubernetes makes the request
    assert cpu({"device": {"nodeSelector": H100, "resources": amounts}}) == expected
    assert cpu(on("NVIDIA-H100-80GB-HBM3"), worker_resources=json.dumps(amounts)) == expected


ON_THE_CPU = {"device": {"policy": "CPU", "nodeSelector": H100}}


@pytest.mark.parametrize("spec", [ON_THE_CPU, {"engine": "openai-whisper"} | on("NVIDIA-H100")])
def test_where_no_gpu_is_kept_busy_one_cpu_is_requested(spec: dict[str, Any]) -> None:
    assert cpu(spec) == "1"


@pytest.mark.parametrize(
    ("product", "like"),
    [
        ("NVIDIA-GH200-480GB", "NVIDIA-H200"),
        ("nvidia-h100-mega-80gb", "NVIDIA-H100-NVL"),
        ("NVIDIA-L40S", "NVIDIA-A100-80GB-PCIe"),
        ("NVIDIA-RTX-6000-Ada-Generation", "NVIDIA-A100-80GB-PCIe"),
        ("NVIDIA-A10G", ""),
        ("Tesla-T4", ""),
        ("NVIDIA-L4", ""),
        ("no GPU at all", ""),
    ],
)
def test_products_belong_to_classes(product: str, like: str) -> None:
    assert gpu_class(product) is gpu_class(like)
    assert (gpu_class(product) is OTHERS) == (not like)


def test_the_documented_table_is_what_is_requested() -> None:
    """docs/platforms.md has a row for each class of GPUs, with the CPUs for large and for other models."""
    text = (ROOT / "docs/platforms.md").read_text().partition("| GPU | large")[2].partition("\n\n")[0]
    rows = [line.split("|")[1:-1] for line in text.splitlines()[2:]]
    shown = []
    for row in rows:
        product = row[0].split(",")[0].strip()
        for cell, model in zip(row[1:], (LARGE, {}), strict=True):
            _, plain, chunked = (Fraction(number.strip()) for number in cell.split(","))
            asked = [cpu(on(f"NVIDIA-{product}".replace(" ", "-")) | model | more) for more in ({}, CHUNKED)]
            shown.append(([cpu_quantity(plain), cpu_quantity(chunked)], asked))
    assert len(shown) == 8
    assert [documented for documented, _ in shown] == [asked for _, asked in shown]
