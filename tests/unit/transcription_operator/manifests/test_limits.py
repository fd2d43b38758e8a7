"""A worker can neither fill its node's disk nor take all of its memory, and a resource can ask for more."""

import json
from typing import Any

import pytest
from transcription_api.model import MODEL_NAMES
from transcription_api.spec import parse_spec
from transcription_operator.manifests.job import render_job

from tests.support.kubernetes_objects import SPEC, config, resource

DISK = "ephemeral-storage"


def pod(spec: dict[str, Any], **settings: str) -> Any:
    spec = SPEC | spec
    return render_job(resource(spec), parse_spec(spec), 1, config(**settings))["spec"]["template"]["spec"]


def resources(spec: dict[str, Any], **settings: str) -> Any:
    (container,) = pod(spec, **settings)["containers"]
    return container["resources"]


def memory_limit(spec: dict[str, Any], **settings: str) -> str | None:
    found: str | None = resources(spec, **settings).get("limits", {}).get("memory")
    return found


def sizes(spec: dict[str, Any], **settings: str) -> dict[str, str | None]:
    """Return the size limits of the volumes that are deleted with the pod."""
    volumes = pod(spec, **settings)["volumes"]
    return {item["name"]: item["emptyDir"].get("sizeLimit") for item in volumes if "emptyDir" in item}


def test_every_volume_of_the_pods_own_has_a_limit() -> None:
    assert sizes({}) == {"scratch": "20Gi", "tmp": "1Gi", "model-cache": "20Gi"}


def test_a_resource_that_may_use_more_of_the_disk_gets_it_as_scratch_space() -> None:
    limits = {"resources": {"limits": {DISK: "100Gi"}}}
    assert sizes({"device": limits})["scratch"] == "100Gi"
    assert sizes({}, worker_resources=json.dumps(limits["resources"]))["scratch"] == "100Gi"


def test_the_administrator_sets_the_limits_of_volumes() -> None:
    given = json.dumps({"sizeLimits": {"scratch": "50Gi", "modelCache": "", "tmp": "2Gi"}})
    assert sizes({}, worker=given) == {"scratch": "50Gi", "tmp": "2Gi", "model-cache": None}


MODELS = [("tiny", "5Gi"), ("small.en", "6Gi"), ("medium", "11Gi"), ("turbo", "11Gi"), ("large-v3-turbo", "11Gi")]


@pytest.mark.parametrize(("name", "limit"), [*MODELS, ("large", "17Gi"), ("large-v2", "17Gi"), (None, "11Gi")])
def test_memory_is_limited_by_the_models_size(name: str | None, limit: str) -> None:
    assert memory_limit({"model": {"name": name} if name else {}}) == limit
    assert resources({})["requests"]["memory"] == "2Gi"  # as much as before, so that it fits where it did


@pytest.mark.parametrize("name", MODEL_NAMES)
def test_every_model_has_a_limit(name: str) -> None:
    assert memory_limit({"model": {"name": name}}) is not None


@pytest.mark.parametrize(
    "model",
    [
        {"s3": {"bucket": "models", "key": "tiny.pt"}},
        {"volume": {"path": "tiny.pt", "persistentVolumeClaim": {"claimName": "models"}}},
    ],
    ids=["s3", "volume"],
)
def test_a_file_of_unknown_size_may_be_the_largest_model(model: dict[str, Any]) -> None:
    assert memory_limit({"model": model}) == "17Gi"


def test_each_further_gpu_adds_to_the_limit() -> None:
    assert memory_limit({"device": {"gpus": 3}}) == "34Gi"  # 1 of it for the files that are decoded for them


@pytest.mark.parametrize("engine", ["openai-whisper", "faster-whisper"])
def test_engines_that_hold_the_whole_recording_have_no_limit_by_default(engine: str) -> None:
    assert memory_limit({"engine": engine}) is None


@pytest.mark.parametrize("amounts", [{"requests": {"memory": "64Gi"}}, {"limits": {"memory": "64Gi"}}])
def test_a_default_limit_never_contradicts_what_is_said_of_memory(amounts: dict[str, Any]) -> None:
    expected = amounts.get("limits", {}).get("memory")
    assert memory_limit({"device": {"resources": amounts}}) == expected
    assert memory_limit({}, worker_resources=json.dumps(amounts)) == expected


def test_the_administrator_may_leave_the_limit_to_the_namespaces() -> None:
    assert memory_limit({}, worker=json.dumps({"limitMemory": False})) is None
