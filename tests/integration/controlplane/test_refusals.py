"""A real admission policy refuses Jobs: the resource tells its words, waits, and goes on once the policy allows it."""

import itertools
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import pytest

from tests.support.api_client import RefusedError
from tests.support.simulated_cluster import PATIENCE, Namespace, condition, until

pytestmark = pytest.mark.usefixtures("operator")

POLICIES = "/apis/admissionregistration.k8s.io/v1/validatingadmissionpolicies"
BINDINGS = "/apis/admissionregistration.k8s.io/v1/validatingadmissionpolicybindings"
_numbers = itertools.count(1)


@contextmanager
def policy(
    namespace: Namespace, operation: str, expression: str, probe: dict[str, Any] | None = None
) -> Iterator[None]:
    """Refuse an operation on the namespace's Jobs unless the expression holds. `probe` is a Job that it must refuse."""
    name = f"jobs-{next(_numbers)}"
    rule = {"apiGroups": ["batch"], "apiVersions": ["v1"], "resources": ["jobs"], "operations": [operation]}
    constraints = {
        "resourceRules": [rule],
        "namespaceSelector": {"matchLabels": {"kubernetes.io/metadata.name": namespace.name}},
    }
    validations = [{"expression": expression, "message": "team label is missing"}]
    spec = {"failurePolicy": "Fail", "matchConstraints": constraints, "validations": validations}
    namespace.api.post(POLICIES, {"metadata": {"name": name}, "spec": spec})
    binding = {"policyName": name, "validationActions": ["Deny"]}
    namespace.api.post(BINDINGS, {"metadata": {"name": name}, "spec": binding})
    until(lambda: probe is None or _refuses(namespace, probe), "the policy to apply", PATIENCE)
    try:
        yield
    finally:
        namespace.api.delete(f"{BINDINGS}/{name}")
        namespace.api.delete(f"{POLICIES}/{name}")


def _refuses(namespace: Namespace, probe: dict[str, Any]) -> bool:
    try:
        namespace.api.post(f"{namespace.jobs}?dryRun=All", probe)
    except RefusedError as error:
        return "team label is missing" in str(error)
    return False


# A Job that lacks what the test's policy asks for.
PROBE = {
    "metadata": {"name": "probe", "labels": {"a": "b"}},
    "spec": {"template": {"spec": {"restartPolicy": "Never", "containers": [{"name": "x", "image": "x"}]}}},
}


def test_a_job_that_a_policy_refuses_waits_with_its_words_until_it_is_allowed(namespace: Namespace) -> None:
    with policy(namespace, "CREATE", "'team' in object.metadata.labels", PROBE):
        namespace.create("refused")
        status = namespace.until_running("refused", "False", "JobNotCreated")
        assert "ValidatingAdmissionPolicy 'jobs-" in condition(status, "Running")["message"]
        assert "team label is missing" in condition(status, "Running")["message"]
        assert (status["phase"], status.get("failure")) == ("Pending", None)
        namespace.until("refused", lambda _: ("Warning", "JobNotCreated") in namespace.events("refused"), "its event")
    namespace.until_running("refused", "False", "WaitingForPod")


def test_a_policy_that_refuses_to_suspend_a_job_is_told(namespace: Namespace) -> None:
    namespace.create("held")
    namespace.job("held")
    with policy(namespace, "UPDATE", "!has(object.spec.suspend) || !object.spec.suspend"):
        # The policy applies some time after it is created: until then Jobs are suspended as ever, and resumed.
        def refused(status: dict[str, Any]) -> bool:
            namespace.change("held", suspend=condition(status, "Suspended").get("status") != "True")
            return condition(status, "Suspended").get("reason") == "JobNotUpdated"

        status = namespace.until("held", refused, "a refused suspension")
    assert condition(status, "Suspended")["status"] == "False"
    assert "team label is missing" in condition(status, "Suspended")["message"]


def test_a_pod_that_a_quota_refuses_is_told_until_there_is_room_for_it(namespace: Namespace) -> None:
    quota = f"/api/v1/namespaces/{namespace.name}/resourcequotas"
    namespace.api.post(quota, {"metadata": {"name": "few"}, "spec": {"hard": {"pods": "0"}}})
    # The quota controller writes the status, without which admission refuses everything.
    namespace.api.patch(f"{quota}/few/status", {"status": {"hard": {"pods": "0"}, "used": {"pods": "0"}}})
    namespace.create("crowded")
    job = namespace.job("crowded")
    namespace.write_job(job, active=0)
    with pytest.raises(RefusedError) as refused:
        namespace.add_pod(job)
    namespace.add_job_event(job, "Warning", "FailedCreate", f"Error creating: {refused.value.message}")
    status = namespace.until_running("crowded", "False", "PodNotCreated")
    assert (
        "is forbidden: exceeded quota: few, requested: pods=1, used: pods=0" in condition(status, "Running")["message"]
    )
    namespace.until("crowded", lambda _: ("Warning", "PodNotCreated") in namespace.events("crowded"), "its event")
    namespace.api.delete(f"{quota}/few")
    until(lambda: _adds_pod(namespace, job), "room for the pod", PATIENCE)
    namespace.until_running("crowded", "False", "WaitingForPod")


def _adds_pod(namespace: Namespace, job: dict[str, Any]) -> bool:
    try:
        return bool(namespace.add_pod(job))
    except RefusedError:
        return False
