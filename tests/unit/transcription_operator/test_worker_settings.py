"""The administrator's settings for all workers are checked when the operator starts."""

import json
from typing import Any

import pytest
from transcription_operator.config import ConfigError
from transcription_operator.worker_settings import WorkerSettings

from tests.support.kubernetes_objects import config


def settings(**given: Any) -> WorkerSettings:
    return config(worker=json.dumps(given)).worker


def test_without_settings_a_worker_is_as_restricted_as_the_image_allows() -> None:
    assert config().worker == settings()
    assert settings().pod_security_context["runAsNonRoot"] is True


REFUSED = [
    ({"nodeselector": {}}, "worker.nodeselector", "no such field"),
    ({"nodeSelector": {"pool": 1}}, "worker.nodeSelector.pool: got 1", "a string"),
    ({"nodeSelector": {"a b": "c"}}, "worker.nodeSelector: got 'a b'", "names of labels"),
    ({"nodeSelector": {"pool": "a b"}}, "worker.nodeSelector.pool: got 'a b'", "the value of a label"),
    ({"tolerations": [{"operator": "exists"}]}, "worker.tolerations[0].operator: got 'exists'", "Equal or Exists"),
    ({"tolerations": [{"key": "a", "effect": "No"}]}, "worker.tolerations[0].effect: got 'No'", "one of NoSchedule"),
    ({"tolerations": {"key": "a"}}, "worker.tolerations", "a list"),
    ({"tolerations": [{"keys": "a"}]}, "worker.tolerations[0].keys", "no such field"),
    ({"hostUsers": "no"}, "worker.hostUsers: got 'no'", "true or false"),
    ({"resourceName": "gpu"}, "worker.resourceName: got 'gpu'", "an extended resource, as in nvidia.com/gpu"),
    ({"resourceName": "requests.nvidia.com/gpu"}, "worker.resourceName", "an extended resource"),
    ({"resourceName": "kubernetes.io/gpu"}, "worker.resourceName", "an extended resource"),
    ({"sizeLimits": {"scratch": "20 GB"}}, "worker.sizeLimits.scratch: got '20 GB'", "a quantity as in 20Gi"),
    ({"sizeLimits": {"cache": "20Gi"}}, "worker.sizeLimits.cache", "no such field"),
    ({"gpuProduct": "NVIDIA H100"}, "worker.gpuProduct: got 'NVIDIA H100'", "a GPU's name as in NVIDIA-H100"),
    ({"limitMemory": "16Gi"}, "worker.limitMemory: got '16Gi'", "true or false"),
    ({"runtimeClassName": "Kata"}, "worker.runtimeClassName: got 'Kata'", "the name of a RuntimeClass"),
    ({"caBundle": {"configMapName": "Trusted"}}, "worker.caBundle.configMapName", "the name of a ConfigMap"),
    ({"caBundle": {"key": "../a"}}, "worker.caBundle.key: got '../a'", "a key of the ConfigMap"),
    ({"proxy": {"httpProxy": "proxy:3128"}}, "worker.proxy.httpProxy: got 'proxy:3128'", "a URL"),
    ({"proxy": {"httpsProxy": "http://me:pw@proxy"}}, "worker.proxy.httpsProxy", "without user name or password"),
    ({"extraEnv": [{"name": "HOME", "value": "/"}]}, "worker.extraEnv[0].name: got 'HOME'", "does not set"),
    ({"extraEnv": [{"name": "TRANSCRIPTION_ROOT", "value": "/"}]}, "worker.extraEnv[0].name", "does not set"),
    ({"extraEnv": [{"name": "A", "value": "1"}] * 2}, "worker.extraEnv[1].name: got 'A'", "only once"),
    ({"extraEnv": [{"name": "A"}]}, "worker.extraEnv[0]", "exactly one of value and valueFrom"),
    ({"extraEnv": [{"name": "A-B", "value": ""}]}, "worker.extraEnv[0].name: got 'A-B'", "letters, digits and _"),
]


@pytest.mark.parametrize(("given", "field", "expected"), REFUSED, ids=[field for _, field, _ in REFUSED])
def test_an_error_names_the_field_the_value_and_what_was_expected(
    given: dict[str, Any], field: str, expected: str
) -> None:
    with pytest.raises(ConfigError) as refused:
        settings(**given)
    assert str(refused.value).startswith("TRANSCRIPTION_WORKER: ")
    assert field in str(refused.value)
    assert expected in str(refused.value)


def test_settings_that_are_no_json_are_refused() -> None:
    with pytest.raises(ConfigError, match=r"TRANSCRIPTION_WORKER: got '\{', expected JSON such as"):
        config(worker="{")


@pytest.mark.parametrize("name", ["HTTPS_PROXY", "https_proxy", "NO_PROXY"])
def test_a_proxy_with_a_password_may_come_from_a_secret(name: str) -> None:
    variable = {"name": name, "valueFrom": {"secretKeyRef": {"name": "proxy", "key": "url"}}}
    assert settings(extraEnv=[variable]).extra_env[0].value_from is not None
    with pytest.raises(ConfigError, match="does not set"):
        settings(extraEnv=[variable], proxy={"httpProxy": "http://proxy.example.com:3128"})


def test_certificates_are_named_in_one_place_alone() -> None:
    variable = {"name": "AWS_CA_BUNDLE", "value": "/etc/ssl/own.pem"}
    assert settings(extraEnv=[variable]).extra_env[0].name == "AWS_CA_BUNDLE"
    with pytest.raises(ConfigError, match="does not set"):
        settings(extraEnv=[variable], caBundle={"configMapName": "trusted"})
