"""A real apiserver adds the defaults to a manifest, and lets only some fields be changed later."""

import copy
import functools
from typing import Any

import pytest

from tests.support.kubectl import Kubectl
from tests.support.manifests import S3, job
from tests.support.repository import read_crd
from tests.support.simulated_cluster import PATIENCE, until


def test_the_smallest_manifest_gets_every_default(kubectl: Kubectl) -> None:
    spec = kubectl.create(job())["spec"]
    assert spec == {
        "source": {"s3": {**S3, "pathStyle": False}},
        "destination": {
            "s3": {"bucket": "transcripts", "prefix": "interviews/01/", "pathStyle": False},
            "naming": "Stem",
            "overwrite": False,
        },
        "model": {"cache": {"type": "None"}},
        "task": "transcribe",
        "language": "auto",
        "languageDetection": {"windows": 3, "minProbability": 0, "below": "allow"},
        "audio": {"channel": "mix"},
        "engine": "batched",
        "decoding": {
            "temperatures": [0, 0.2, 0.4, 0.6, 0.8, 1],
            "conditionOnPreviousText": True,
            "compressionRatioThreshold": 2.4,
            "logprobThreshold": -1,
            "noSpeechThreshold": 0.6,
            "wordTimestamps": False,
            "carryInitialPrompt": False,
            "suppressTokens": [-1],
            "withoutTimestamps": False,
            "precision": "auto",
            "longForm": "sequential",
        },
        "quality": {"policy": "warn"},
        "formats": ["json", "txt"],
        "subtitles": {"highlightWords": False},
        "preview": {"characters": 0},
        "device": {"policy": "RequireGPU", "gpus": 1},
        "retries": 3,
        "suspend": False,
    }


# The part of the spec, its new value (None removes it), and what the refusal must contain.
CHANGES: dict[str, tuple[Any, list[str]]] = {
    "source": (
        {"s3": {"bucket": "other", "key": "a.wav"}},
        ["spec.source.s3.bucket", "got other, expected audio as at creation"],
    ),
    "destination": (
        {"s3": {"bucket": "other"}},
        ["spec.destination.s3.bucket", "got other, expected transcripts as at creation"],
    ),
    "model": ({"name": "tiny"}, ["spec.model.name", "got tiny, expected base as at creation"]),
    "task": ("translate", ["spec.task", "got translate, expected transcribe as at creation"]),
    "language": ("pt", ["spec.language", "got pt, expected en as at creation"]),
    "languageDetection": ({"windows": 1}, ["spec.languageDetection.windows", "got 1, expected 3 as at creation"]),
    "audio": ({"channel": "left"}, ["spec.audio.channel", "got left, expected mix as at creation"]),
    "engine": ("openai-whisper", ["spec.engine", "got openai-whisper, expected batched as at creation"]),
    "decoding": (
        {"beamSize": 7},
        ["spec.decoding:", 'got ["beamSize"] added or taken away, expected the fields at creation'],
    ),
    "quality": ({"policy": "fail"}, ["spec.quality.policy", "got fail, expected warn as at creation"]),
    "subtitles": (
        {"maxLineWidth": 40},
        ["spec.subtitles:", 'got ["maxLineWidth"] added or taken away, expected the fields at creation'],
    ),
    "formats": (["srt"], ["spec.formats", "got srt, expected json, txt as at creation"]),
    "preview": ({"characters": 5}, ["spec.preview.characters", "got 5, expected 0 as at creation"]),
    "device": ({"policy": "CPU"}, ["spec.device.policy", "got CPU, expected RequireGPU as at creation"]),
    "rerun": ("Force", ["spec.rerun", "got Force, expected none as at creation"]),
    "dryRun": (True, ["spec.dryRun", "got true, expected none as at creation"]),
    "costPerGPUHour": (2.5, ["spec.costPerGPUHour", "got 2.5, expected none as at creation"]),
    "retries": (5, ["spec.retries", "got 5, expected 3 as at creation"]),
    "activeDeadlineSeconds": (5, ["spec.activeDeadlineSeconds", "got 5, expected none as at creation"]),
    "pendingDeadlineSeconds": (None, ["spec.pendingDeadlineSeconds", "got none, expected 60 as at creation"]),
    "queueName": ("other", ["spec.queueName", "got other, expected team as at creation"]),
    "serviceAccountName": ("other", ["spec.serviceAccountName", "got other, expected none as at creation"]),
}


@pytest.mark.parametrize("field", CHANGES)
def test_a_change_of_the_spec_is_refused_by_name(kubectl: Kubectl, field: str) -> None:
    changed = kubectl.create(job(language="en", pendingDeadlineSeconds=60, queueName="team", model={"name": "base"}))
    value, parts = CHANGES[field]
    if value is None:
        del changed["spec"][field]
    else:
        changed["spec"][field] = copy.deepcopy(value)
    done = kubectl("replace", "-f", "-", given=changed, check=False)
    assert done.returncode != 0, "accepted"
    wanted = [
        *parts,
        "a spec is immutable but for suspend, parallelism, shard, failurePolicy, ttlSecondsAfterFinished and "
        "deletionPolicy",
    ]
    assert [part for part in wanted if part not in done.stderr] == [], done.stderr


# Each field of decoding, with the fields that it needs: another value than the default or the one of GIVEN.
GIVEN = {"beamSize": 3, "initialPrompt": "Kubernetes", "wordTimestamps": True, "hallucinationSilenceThreshold": 2}
DECODING: dict[str, Any] = {
    "temperatures": [0, 0.5],
    "beamSize": 4,
    "bestOf": 3,
    "patience": 2,
    "lengthPenalty": 0.5,
    "initialPrompt": "etcd",
    "conditionOnPreviousText": False,
    "compressionRatioThreshold": 3,
    "logprobThreshold": -2,
    "noSpeechThreshold": 0.5,
    "wordTimestamps": False,
    "carryInitialPrompt": True,
    "hallucinationSilenceThreshold": 3,
    "suppressTokens": [],
    "withoutTimestamps": True,
    "precision": "float32",
    "longForm": "chunked",
}


def test_every_option_of_decoding_is_tried() -> None:
    schema = read_crd()["spec"]["versions"][0]["schema"]["openAPIV3Schema"]
    assert set(DECODING) == set(schema["properties"]["spec"]["properties"]["decoding"]["properties"])


@pytest.fixture(scope="module")
def decoded(kubectl: Kubectl) -> dict[str, Any]:
    """Create a resource with the options GIVEN and return it."""
    return kubectl.create(job(decoding=GIVEN))


@pytest.mark.parametrize("field", DECODING)
def test_a_change_of_an_option_of_decoding_is_refused(kubectl: Kubectl, decoded: dict[str, Any], field: str) -> None:
    changed = copy.deepcopy(decoded)
    changed["spec"]["decoding"][field] = DECODING[field]
    done = kubectl("replace", "-f", "-", given=changed, check=False)
    assert done.returncode != 0, "accepted"
    assert (
        f"spec.decoding.{field}" in done.stderr or f'spec.decoding: Invalid value: got ["{field}"] added' in done.stderr
    )
    assert "at creation; a spec is immutable" in done.stderr


@pytest.mark.parametrize("field", GIVEN)
def test_an_option_of_decoding_cannot_be_taken_away(kubectl: Kubectl, decoded: dict[str, Any], field: str) -> None:
    changed = copy.deepcopy(decoded)
    del changed["spec"]["decoding"][field]
    done = kubectl("replace", "-f", "-", given=changed, check=False)
    assert done.returncode != 0, "accepted"
    assert "at creation; a spec is immutable" in done.stderr


# Changes after which an object has as many fields as before: the parts of the spec, and what the refusal must contain.
SWAPS: dict[str, tuple[dict[str, Any], dict[str, Any], list[str]]] = {
    "options of decoding": (
        {"decoding": {"beamSize": 3}},
        {"decoding": {"bestOf": 3}},
        [
            'spec.decoding: Invalid value: got ["beamSize", "bestOf"] added or taken away, expected the fields at creation'
        ],
    ),
    "what a source has": (
        {"source": {"s3": {"bucket": "audio", "key": "a.wav"}}},
        {"source": {"s3": {"bucket": "audio", "prefix": "a"}}},
        ['spec.source.s3: Invalid value: got ["key", "prefix"] added or taken away, expected the fields at creation'],
    ),
    "options of a source": (
        {"source": {"s3": {"bucket": "audio", "key": "a.wav", "region": "us-east-1"}}},
        {"source": {"s3": {"bucket": "audio", "key": "a.wav", "endpointURL": "https://s3.example"}}},
        ['spec.source.s3: Invalid value: got ["endpointURL", "region"] added or taken away'],
    ),
    "a model and its digest": (
        {"model": {"name": "base"}},
        {"model": {"sha256": "0123456789abcdef" * 4}},
        ['spec.model: Invalid value: got ["name", "sha256"] added or taken away, expected the fields at creation'],
    ),
    "a field that may change and one that may not": (
        {"queueName": "team"},
        {"ttlSecondsAfterFinished": 60},
        ["spec.queueName: Invalid value: ", "got none, expected team as at creation"],
    ),
    "a field that may not change and one that may": (
        {"ttlSecondsAfterFinished": 60},
        {"dryRun": True},
        ["spec.dryRun: Invalid value: ", "got true, expected none as at creation"],
    ),
}


@pytest.mark.parametrize("name", SWAPS)
def test_one_field_in_the_place_of_another_is_refused_too(kubectl: Kubectl, name: str) -> None:
    before, after, parts = SWAPS[name]
    changed = kubectl.create(job(**before))
    kept = {field: value for field, value in changed["spec"].items() if field not in before}
    changed["spec"] = kept | after
    done = kubectl("replace", "-f", "-", given=changed, check=False)
    assert done.returncode != 0, "accepted"
    assert [part for part in parts if part not in done.stderr] == [], done.stderr


def test_a_change_of_an_endpoint_is_refused_without_its_password(kubectl: Kubectl) -> None:
    source = {"bucket": "audio", "key": "a.wav", "endpointURL": "https://s3.example"}
    changed = kubectl.create(job(source={"s3": source}))
    changed["spec"]["source"]["s3"]["endpointURL"] = "https://me:hunter2@s3.example"
    done = kubectl("replace", "-f", "-", given=changed, check=False)
    assert "spec.source.s3.endpointURL: Forbidden: got a change, expected the value at creation" in done.stderr
    assert "hunter2" not in done.stderr


def test_fields_that_may_change_do_so_beside_optional_fields_that_may_not(kubectl: Kubectl) -> None:
    source = {"bucket": "audio", "key": "a.wav", "region": "us-east-1", "credentialsSecretRef": {"name": "reader"}}
    changed = kubectl.create(
        job(source={"s3": source}, queueName="team", device={"nodeSelector": {"zone": "a"}}, decoding=GIVEN)
    )
    changed["spec"] |= {"suspend": True, "ttlSecondsAfterFinished": 60, "deletionPolicy": "DeleteResults"}
    kubectl("replace", "-f", "-", given=changed)


def test_suspend_and_ttl_can_be_changed(kubectl: Kubectl) -> None:
    changed = kubectl.create(job())
    changed["spec"] |= {"suspend": True, "ttlSecondsAfterFinished": 60}
    kubectl("replace", "-f", "-", given=changed)
    stored = kubectl("get", "tj", changed["metadata"]["name"], "-o", "jsonpath={.spec.suspend}").stdout
    assert stored == "true"


@pytest.fixture
def translating_turbo(kubectl: Kubectl) -> str:
    """Return the name of a resource that was stored before the present rules, which refuse it."""
    older, manifest = read_crd(), job(task="translate", model={"name": "turbo"})
    del older["spec"]["versions"][0]["schema"]["openAPIV3Schema"]["properties"]["spec"]["x-kubernetes-validations"]
    create = functools.partial(kubectl, "create", "-f", "-", "-o", "name", given=manifest, check=False)

    def created() -> str:
        return create().stdout.strip()

    try:
        kubectl("apply", "--server-side", "-f", "-", given=older)
        name: str = until(created, "a resource that breaks a rule", PATIENCE)
    finally:
        kubectl("apply", "--server-side", "-f", "-", given=read_crd())
    until(lambda: "got translate" in create("--dry-run=server").stderr, "the present rules", PATIENCE)
    return name


def test_a_resource_that_a_newer_rule_refuses_can_be_suspended(kubectl: Kubectl, translating_turbo: str) -> None:
    kubectl("patch", translating_turbo, "--type=merge", "-p", '{"spec": {"suspend": true}}')
    stored = kubectl("get", translating_turbo, "-o", "jsonpath={.spec.suspend} {.spec.task}").stdout
    assert stored == "true translate"
