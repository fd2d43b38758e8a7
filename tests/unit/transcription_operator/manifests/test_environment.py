"""The worker reads what the resource says, whatever the kubelet expands in the values of its environment."""

from typing import Any

import pytest
from transcription_api import names
from transcription_api.spec import parse_spec
from transcription_api.task import parse_task
from transcription_operator.manifests.job import render_job

from tests.support.kubelet_expansion import container_environment, expand
from tests.support.kubernetes_objects import config, resource

# What third_party/forked/golang/expansion/expand_test.go of Kubernetes expects, with VAR_A=A and VAR_EMPTY empty.
KUBERNETES_CASES = [
    ("$(VAR_A)", "A"),
    ("foo$(VAR_EMPTY)bar", "foobar"),
    ("$(VAR_DNE)", "$(VAR_DNE)"),
    ("foo\\$(VAR_A)bar", "foo\\Abar"),
    ("$$(VAR_A)", "$(VAR_A)"),
    ("$$$(VAR_A)", "$A"),
    ("$$$$$$(VAR_A)", "$$$(VAR_A)"),
    ("f000-$VAR_A", "f000-$VAR_A"),
    ("foo$(VAR_Awhoops!", "foo$(VAR_Awhoops!"),
    ("foo$", "foo$"),
    ("$(())", "$(())"),
    ("$", "$"),
    ("$$", "$"),
]


@pytest.mark.parametrize(("text", "expected"), KUBERNETES_CASES)
def test_references_are_expanded_as_by_kubernetes(text: str, expected: str) -> None:
    assert expand(text, {"VAR_A": "A", "VAR_EMPTY": ""}) == expected


TEXTS = [
    "price$$list.wav",
    "$$",
    "$(HOME)",
    "a/$(LOG_LEVEL).wav",
    "$(TRANSCRIPTION_TASK)",
    "$$(HOME)$",
    "\\$(HOME)\\$$",
    "\\u0024$$",
    'quoted"$$"',
]
PLACES: dict[str, dict[str, Any]] = {
    "a key": {"source": {"s3": {"bucket": "audio", "key": "TEXT"}}},
    "a prefix": {"destination": {"s3": {"bucket": "out", "prefix": "TEXT/"}}},
    "a prompt": {"decoding": {"initialPrompt": "TEXT"}},
    "a model's key": {"model": {"s3": {"bucket": "models", "key": "TEXT"}}},
    "a path in a volume": {"model": {"volume": {"path": "TEXT", "image": {"reference": "models:1"}}}},
}


def filled(value: Any, text: str) -> Any:
    if isinstance(value, dict):
        return {key: filled(item, text) for key, item in value.items()}
    return value.replace("TEXT", text)


@pytest.mark.parametrize("text", TEXTS)
@pytest.mark.parametrize("place", PLACES)
def test_a_dollar_reaches_the_worker_as_it_was_written(place: str, text: str) -> None:
    smallest = {"source": {"s3": {"bucket": "audio", "key": "a.wav"}}, "destination": {"s3": {"bucket": "out"}}}
    spec = smallest | filled(PLACES[place], text)
    job = render_job(resource(spec), parse_spec(spec), 1, config())
    (container,) = job["spec"]["template"]["spec"]["containers"]
    # Whatever comes before it in the environment, nothing of it may be taken into the task.
    before = [{"name": item["name"], "value": item["value"]} for item in reversed(container["env"])]
    for env in (container["env"], before):
        assert parse_task(container_environment(env)[names.ENV_TASK]).spec == spec
