"""`helm upgrade` from the last release, and back, changes nothing for a resource in any state.

LAST_RELEASE names the commit or tag that is upgraded from.
"""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.support.chaos.fault import GPU_NODE
from tests.support.chaos.last_release import last_release
from tests.support.helm import NAMESPACE, RELEASE
from tests.support.job_namespace import ON_GPU_NODE, JobNamespace
from tests.support.stack import s3
from tests.support.stack.kube import get, kubectl, run
from tests.support.stack.release import ensure_release

# A label that no node has until the test gives it to one.
LATE = "transcription.dev/late"


@pytest.fixture
def namespace(stored: None) -> Iterator[JobNamespace]:
    """Yield a namespace of the test's own, and a client that outlives no upgrade: it is used before and after."""
    with s3.connect() as client:
        namespace = JobNamespace("chaos-upgrade", client)
        namespace.ensure()
        yield namespace
        namespace.remove(wait=False)
    kubectl("label", "node", GPU_NODE, f"{LATE}-")


@pytest.fixture
def last(namespace: JobNamespace, values: dict[str, Any]) -> Iterator[tuple[Path, dict[str, Any]]]:
    """Install the last release on a cluster without ours, and yield its chart and values."""
    with last_release() as (chart, last_values):
        run("helm", "uninstall", RELEASE, "-n", NAMESPACE, "--wait", "--timeout", "120s")
        kubectl("delete", "crd", "transcriptionjobs.transcription.dev", "--timeout=120s")
        ensure_release(last_values, chart)
        yield chart, last_values
    ensure_release(values)


def stored_object(namespace: JobNamespace, name: str) -> tuple[str, dict[str, Any]]:
    """Return the resourceVersion, which changes with each write, and the status."""
    found = get("transcriptionjob", name, namespace.name)
    assert found is not None
    return found["metadata"]["resourceVersion"], found["status"]


def assert_one_attempt(namespace: JobNamespace, name: str) -> None:
    """Assert that the resource is Complete by the first pod of its first Job."""
    status = namespace.ended(name)
    assert (status["phase"], status["attempt"]) == ("Complete", 1), status
    assert len(namespace.jobs(name)) == 1


def test_resources_pending_running_and_finished_survive_an_upgrade_and_the_way_back(
    namespace: JobNamespace, last: tuple[Path, dict[str, Any]], values: dict[str, Any]
) -> None:
    late = {"policy": "CPU", **ON_GPU_NODE, "nodeSelector": {LATE: "true"}}
    namespace.apply("finished")
    namespace.apply("failed", "no/such.wav")
    namespace.apply("pending", device=late)
    finished = [namespace.ended(name) for name in ("finished", "failed")]
    assert [status["phase"] for status in finished] == ["Complete", "Failed"]
    namespace.apply("running", "long.wav")
    namespace.reaches("running", "Running", "transcribe")
    before = [stored_object(namespace, name) for name in ("finished", "failed")]

    ensure_release(values)
    kubectl("label", "node", GPU_NODE, f"{LATE}=true")
    namespace.apply("after")
    for name in ("running", "pending", "after"):
        assert_one_attempt(namespace, name)
    assert [stored_object(namespace, name) for name in ("finished", "failed")] == before

    chart, last_values = last
    upgraded = [stored_object(namespace, name) for name in ("running", "pending", "after")]
    ensure_release(last_values, chart)
    namespace.apply("back")
    assert_one_attempt(namespace, "back")
    kept = [stored_object(namespace, name) for name in ("running", "pending", "after")]
    assert [version for version, _ in kept] == [version for version, _ in upgraded]
    assert [stored_object(namespace, name) for name in ("finished", "failed")] == before
