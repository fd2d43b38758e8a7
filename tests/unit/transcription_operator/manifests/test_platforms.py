"""A worker's pod is as the administrator's settings say, and a resource's own fields go before them."""

import json
from typing import Any

import pytest
from transcription_api import names
from transcription_api.spec import parse_spec
from transcription_operator.config import ConfigError
from transcription_operator.manifests.job import render_job

from tests.support.kubelet_expansion import container_environment
from tests.support.kubernetes_objects import SPEC, config, resource

MIG = "nvidia.com/mig-1g.10gb"


def pod(worker: dict[str, Any] | None = None, **device: Any) -> Any:
    """Return the spec of the pod for a resource with this device."""
    spec = SPEC | {"device": device}
    job = render_job(resource(spec), parse_spec(spec), 1, config(worker=json.dumps(worker or {})))
    return job["spec"]["template"]["spec"]


def container(worker: dict[str, Any] | None = None, **device: Any) -> Any:
    (found,) = pod(worker, **device)["containers"]
    return found


def environment(worker: dict[str, Any]) -> dict[str, str]:
    return container_environment([item for item in container(worker)["env"] if "value" in item])


@pytest.mark.parametrize("case", ["the administrator", "the resource"])
def test_a_part_of_a_gpu_is_requested_under_its_own_name(case: str) -> None:
    worker, device = ({"resourceName": MIG}, {}) if case == "the administrator" else ({}, {"resourceName": MIG})
    assert container(worker, gpus=1, **device)["resources"]["limits"][MIG] == "1"
    assert container(worker, **device)["resources"]["requests"][MIG] == "1"
    assert "nvidia.com/gpu" not in container(worker, **device)["resources"]["requests"]


def test_the_resources_own_name_goes_before_the_administrators() -> None:
    limits = container({"resourceName": MIG}, resourceName="nvidia.com/gpu.shared")["resources"]["limits"]
    assert [name for name in limits if "/" in name] == ["nvidia.com/gpu.shared"]


def test_the_taints_of_a_gpu_and_of_its_part_are_tolerated() -> None:
    taints = [item["key"] for item in pod(resourceName=MIG)["tolerations"]]
    assert taints == ["nvidia.com/gpu", MIG]


def test_a_worker_on_the_cpu_requests_no_part_of_a_gpu_and_tolerates_no_taint_of_one() -> None:
    found = pod({"resourceName": MIG}, policy="CPU")
    assert "tolerations" not in found
    assert MIG not in found["containers"][0]["resources"]["limits"]


def test_a_gpu_by_a_claim_is_requested_by_nothing_else() -> None:
    found = pod(resourceClaimTemplateName="one-gpu", resources={"limits": {"memory": "8Gi"}})
    assert found["resourceClaims"] == [{"name": "gpu", "resourceClaimTemplateName": "one-gpu"}]
    (worker,) = found["containers"]
    assert worker["resources"] == {
        "claims": [{"name": "gpu"}],
        "requests": {"cpu": "1800m"},
        "limits": {"memory": "8Gi"},
    }
    assert "one-gpu" not in worker["env"][0]["value"]


def test_a_claim_is_the_administrators_default_for_nothing() -> None:
    assert "resourceClaims" not in pod({"resourceName": MIG})
    assert "claims" not in container()["resources"]


def test_the_platform_may_choose_the_user() -> None:
    context = {"runAsNonRoot": True, "runAsUser": None, "seccompProfile": {"type": "RuntimeDefault"}}
    assert pod({"podSecurityContext": context})["securityContext"] == {
        "runAsNonRoot": True,
        "seccompProfile": {"type": "RuntimeDefault"},
    }


def test_a_user_namespace_of_its_own_is_asked_for_only_if_set() -> None:
    assert "hostUsers" not in pod()
    assert pod({"hostUsers": False})["hostUsers"] is False


def test_defaults_hold_where_a_resource_says_nothing() -> None:
    found = pod(
        {
            "runtimeClassName": "kata",
            "priorityClassName": "batch",
            "nodeSelector": {"pool": "gpu"},
            "tolerations": [{"key": "pool", "operator": "Exists"}],
        }
    )
    assert (found["runtimeClassName"], found["priorityClassName"]) == ("kata", "batch")
    assert found["nodeSelector"] == {"pool": "gpu"}
    assert found["tolerations"][-1] == {"key": "pool", "operator": "Exists"}


def test_fields_of_a_resource_go_before_the_defaults() -> None:
    worker = {
        "runtimeClassName": "kata",
        "priorityClassName": "batch",
        "nodeSelector": {"pool": "gpu", "zone": "a"},
        "tolerations": [{"key": "pool", "operator": "Exists"}],
    }
    own = [{"key": "spot", "operator": "Exists"}, {"key": "pool", "operator": "Exists"}]
    found = pod(
        worker,
        runtimeClassName="nvidia",
        priorityClassName="urgent",
        nodeSelector={"pool": "large"},
        tolerations=own,
    )
    assert (found["runtimeClassName"], found["priorityClassName"]) == ("nvidia", "urgent")
    assert found["nodeSelector"] == {"pool": "large", "zone": "a"}
    assert [item["key"] for item in found["tolerations"]] == ["nvidia.com/gpu", "pool", "spot"]


def test_a_proxy_is_in_the_environment_under_both_spellings() -> None:
    proxy = {"httpProxy": "http://proxy:1", "httpsProxy": "http://proxy:2", "noProxy": ".svc,$(HOME),$$"}
    seen = environment({"proxy": proxy})
    for name in ("http_proxy", "HTTP_PROXY"):
        assert seen[name] == "http://proxy:1"
    for name in ("https_proxy", "HTTPS_PROXY"):
        assert seen[name] == "http://proxy:2"
    for name in ("no_proxy", "NO_PROXY"):
        assert seen[name] == ".svc,$(HOME),$$"


def test_certificates_are_mounted_where_the_libraries_of_the_worker_look() -> None:
    worker = {"caBundle": {"configMapName": "trusted", "key": "all.pem"}}
    (mount,) = [item for item in container(worker)["volumeMounts"] if item["name"] == "ca-bundle"]
    (volume,) = [item for item in pod(worker)["volumes"] if item["name"] == "ca-bundle"]
    assert volume["configMap"]["items"] == [{"key": "all.pem", "path": "all.pem"}]
    # The pod would wait for ever for a ConfigMap that is missing, and nothing but an event would tell.
    assert volume["configMap"]["optional"] is True
    for name in ("AWS_CA_BUNDLE", "SSL_CERT_FILE", "REQUESTS_CA_BUNDLE"):
        assert environment(worker)[name] == f"{mount['mountPath']}/all.pem" == f"{names.CA_BUNDLE_DIR}/trusted/all.pem"


def test_further_variables_come_after_the_operators_own() -> None:
    extra = [
        {"name": "AWS_REGION", "value": "eu-west-1"},
        {"name": "PROXY", "valueFrom": {"secretKeyRef": {"name": "proxy", "key": "url"}}},
    ]
    assert container({"extraEnv": extra})["env"][-2:] == extra


def test_no_variable_that_the_operator_sets_can_be_set_again() -> None:
    worker = {"proxy": {"httpProxy": "http://proxy:1"}, "caBundle": {"configMapName": "trusted"}}
    for item in container(worker)["env"]:
        with pytest.raises(ConfigError, match="expected a name that the operator does not set"):
            container(worker | {"extraEnv": [{"name": item["name"], "value": ""}]})
