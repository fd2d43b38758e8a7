"""An endpoint must be a URL on whose host every parser agrees, and a host that the administrator allows."""

import copy
from typing import Any

import pytest
from transcription_api.status import Failure
from transcription_operator.reconcile.decide import decide

from tests.support.decisions import NOW, observe
from tests.support.kubernetes_objects import SPEC, config

ALLOWED = config(allowed_endpoints="*.storage.svc")


def with_endpoint(url: str, field: str = "source") -> dict[str, Any]:
    spec: dict[str, Any] = copy.deepcopy(SPEC)
    spec[field]["s3"]["endpointURL"] = url
    return spec


def failure(spec: dict[str, Any], settings: Any) -> Failure | None:
    """Return why the spec fails, or None if it gets a Job."""
    plan = decide(observe(spec), settings, NOW)
    assert (plan.status is None) == (plan.create_job is not None)
    return None if plan.status is None else plan.status.failure


@pytest.mark.parametrize("field", ["source", "destination"])
@pytest.mark.parametrize(
    "url",
    [
        "http://[",
        "http://[::1",
        "http://[v1.x]",
        "http://minio:99999999",
        "http://minio:port",
        "http://\N{ACCOUNT OF}.example",
        "http://:9000",
        "http://mi nio",
    ],
)
def test_an_endpoint_that_is_no_url_is_an_invalid_spec_and_costs_no_worker(url: str, field: str) -> None:
    found = failure(with_endpoint(url, field), config())
    assert found is not None
    assert found.reason == "InvalidSpec"
    assert found.message.startswith(f"spec.{field}.s3.endpointURL: got {url!r}, expected a URL")


@pytest.mark.parametrize(
    "url",
    [
        "http://169.254.169.254\\.storage.svc",
        "http://169.254.169.254\\.storage.svc:80/x",
        "http://169.254.169.254%5c.storage.svc",
        "http://169.254.169.254;.storage.svc",
        "http://user:secret@minio.storage.svc",
    ],
)
def test_no_character_of_a_host_leads_the_worker_to_another_one_than_was_allowed(url: str) -> None:
    found = failure(with_endpoint(url), ALLOWED)
    assert found is not None
    assert found.reason == "InvalidSpec"
    assert "secret" not in found.message


@pytest.mark.parametrize(
    "url", ["http://minio", "https://minio.storage.svc:9000/s3", "http://10.0.0.1", "http://[fd00::1]:80"]
)
def test_names_and_addresses_are_hosts(url: str) -> None:
    assert failure(with_endpoint(url), config()) is None


def test_an_allowed_host_is_allowed_in_whatever_case() -> None:
    spec = with_endpoint("https://MINIO.storage.svc")
    spec["destination"]["s3"]["endpointURL"] = "https://minio.Storage.svc:9000"
    assert failure(spec, ALLOWED) is None


@pytest.mark.parametrize("limit", [1.5, True, "5", "five", "-1%", "101%", -1, [], {"a": 1}])
def test_a_number_of_failed_files_that_is_none_fails_before_anything_runs(limit: Any) -> None:
    found = failure({"failurePolicy": {"maxFailedFiles": limit}}, config())
    assert found is not None
    assert found.message.startswith("spec.failurePolicy.maxFailedFiles: got ")


@pytest.mark.parametrize("limit", [0, 100_000, "0%", "5%", "100%"])
def test_a_number_or_a_percentage_of_failed_files_is_accepted(limit: Any) -> None:
    assert failure({"failurePolicy": {"maxFailedFiles": limit}}, config()) is None


def test_an_amount_of_memory_that_another_schema_let_pass_is_an_invalid_spec() -> None:
    found = failure(SPEC | {"device": {"minMemory": "24 GB"}}, config())
    assert found is not None
    assert (found.reason, found.message) == (
        "InvalidSpec",
        "spec.device.minMemory: got '24 GB', expected an amount of memory as in 24G",
    )
