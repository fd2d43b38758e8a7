"""The page about Kueue names the version that make test-kueue runs, and its queues cover what the Jobs in them request."""

import re
from typing import Any

import pytest
import yaml
from transcription_api import names
from transcription_api.spec import parse_spec
from transcription_operator.manifests.job import render_job

from hack.cluster import store
from tests.support.kubernetes_objects import config, resource
from tests.support.repository import ROOT

PAGE = (ROOT / "docs/kueue.md").read_text()
QUEUES = sorted((ROOT / "examples/kueue").glob("*.yaml"))
EXAMPLE: dict[str, Any] = yaml.safe_load((ROOT / "examples/kueue.yaml").read_text())


def manifests(kind: str) -> list[dict[str, Any]]:
    found = (item for path in QUEUES for item in yaml.safe_load_all(path.read_text()))
    return [item for item in found if item["kind"] == kind]


def test_the_page_names_the_version_that_is_run() -> None:
    assert re.findall(r"Kueue (\d+\.\d+\.\d+)", PAGE) == [store.versions()["KUEUE"].removeprefix("v")]


@pytest.mark.parametrize("path", QUEUES, ids=lambda path: path.name)
def test_each_file_of_queues_is_named_on_the_page(path: Any) -> None:
    assert f"examples/kueue/{path.name}" in PAGE


def test_the_resource_of_the_example_names_a_queue_of_the_examples() -> None:
    assert EXAMPLE["spec"]["queueName"] in {queue["metadata"]["name"] for queue in manifests("LocalQueue")}


@pytest.mark.parametrize("phase", [None, *names.PHASES])
@pytest.mark.parametrize("queue", manifests("ClusterQueue"), ids=lambda queue: queue["metadata"]["name"])
def test_a_queue_covers_all_that_a_workers_pod_requests(queue: dict[str, Any], phase: str | None) -> None:
    job = render_job(resource(EXAMPLE["spec"]), parse_spec(EXAMPLE["spec"]), 1, config(), phase=phase)
    pod = job["spec"]["template"]["spec"]
    resources = [item["resources"] for item in (*pod.get("initContainers", ()), *pod["containers"])]
    # Kueue takes a limit without a request for the request, as Kubernetes does.
    requested = {name for item in resources for kind in ("requests", "limits") for name in item.get(kind, {})}
    assert requested
    assert requested <= set(queue["spec"]["resourceGroups"][0]["coveredResources"])
