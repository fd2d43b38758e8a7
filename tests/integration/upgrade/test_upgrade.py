"""The resource definition and the operator are upgraded from the last release, and back, while resources are in every state.

The tests of one operator follow each other in the order of the file: the last release's, the present one, and the last
release's again with the present resource definition.
"""

from collections.abc import Iterator
from dataclasses import dataclass, field

import pytest
import yaml
from transcription_api import exit_codes, reasons
from transcription_api.report import encode_report, failure

from tests.support.api_client import Api, Json, RefusedError
from tests.support.controlplane import ControlPlane, control_plane
from tests.support.last_release import Release
from tests.support.operator_process import ACCOUNT, Operator, grant_rights, running_operator
from tests.support.repository import read_crd
from tests.support.simulated_cluster import Namespace, condition, good_report, until

# Seconds between two full lists: after one, every resource was reconciled by the operator at hand.
SETTINGS: dict[str, object] = {"resync_seconds": 1}
# Resources by their state when the upgrade comes. The last release's operator took the first two to their end.
FINISHED = ("complete", "failed")
UNFINISHED = ("running", "retrying", "pending", "suspended")
STATES = (*FINISHED, *UNFINISHED)


@dataclass
class Story:
    """A namespace whose resources live through the upgrade, and what was stored of them at each turn."""

    namespace: Namespace
    before: dict[str, Json] = field(default_factory=dict)  # by the last release's operator
    upgraded: dict[str, Json] = field(default_factory=dict)  # once the present operator had seen everything
    ended: dict[str, Json] = field(default_factory=dict)  # when the present operator ended
    returned: dict[str, Json] = field(default_factory=dict)  # by the last release's operator again
    tomorrow: dict[str, Json] = field(default_factory=dict)  # by the present operator with the next definition

    def stored(self) -> dict[str, Json]:
        """Return all resources as they are stored now, by name."""
        return {item["metadata"]["name"]: item for item in self.namespace.api.items(self.namespace.resources)}

    def run(self, name: str) -> None:
        """Let a pod of the resource's Job run, until the operator has noticed."""
        job = self.namespace.job(name)
        self.namespace.run_pod(job, self.namespace.add_pod(job))
        self.namespace.until_running(name, "True", "WorkerRunning")

    def end(self, name: str, report: str) -> None:
        """Let the pod of a resource end with this report, and wait until it is complete."""
        job = self.namespace.job(name)
        self.namespace.end_pod(self.namespace.pods_of(job)[-1], exit_codes.OK, report)
        self.namespace.complete(job)
        self.namespace.until_phase(name, "Complete")


def until_resynced(operator: Operator) -> None:
    """Wait until the operator has listed everything twice, and so reconciled what was there before it."""
    sample = "transcription_reconcile_seconds_count"
    seen = operator.metric(sample)
    until(lambda: operator.metric(sample) >= seen + 2 * len(STATES), "a resync", 30)


def begin(space: Namespace) -> None:
    """Bring resources into every state."""
    for name in STATES:
        space.create(name, suspend=name == "suspended")
    space.complete(space.attempt("complete", exit_codes.OK, good_report()))
    space.fail(space.attempt("failed", 65, failure(reasons.NO_SUCH_KEY, "no such key")), "PodFailurePolicy")
    refused = failure(reasons.ENDPOINT_UNREACHABLE, "refused")
    space.write_job(space.attempt("retrying", exit_codes.UNREACHABLE, refused), active=0, ready=0, failed=1)
    Story(space).run("running")
    space.until_running("retrying", "False", "Retrying")
    space.until_running("pending", "False", "WaitingForPod")
    for name, phase in (("complete", "Complete"), ("failed", "Failed"), ("suspended", "Suspended")):
        space.until_phase(name, phase)


@pytest.fixture(scope="module")
def plane(old: Release, tmp_path_factory: pytest.TempPathFactory) -> Iterator[ControlPlane]:
    """Yield a control plane with the last release's resource definition and rights."""
    with control_plane(tmp_path_factory.mktemp("plane"), {ACCOUNT: ACCOUNT}, crd=old.crd) as started:
        grant_rights(started, chart=old.chart)
        yield started


@pytest.fixture(scope="module")
def api(plane: ControlPlane) -> Iterator[Api]:
    client = plane.api()
    yield client
    client.close()


@pytest.fixture(scope="module")
def before(plane: ControlPlane, api: Api, old: Release, tmp_path_factory: pytest.TempPathFactory) -> Story:
    """The last release's operator brings resources into every state, and the resource definition is upgraded under it."""
    story = Story(Namespace(api, "upgrade"))
    with running_operator(plane, tmp_path_factory.mktemp("old") / "operator.log", release=old, **SETTINGS) as operator:
        begin(story.namespace)
        story.before = story.stored()
        plane.install_crd()  # a release of the chart brings it before the operator
        until_resynced(operator)
        story.upgraded = story.stored()
    return story


@pytest.fixture(scope="module")
def upgraded(plane: ControlPlane, old: Release, before: Story, tmp_path_factory: pytest.TempPathFactory) -> Story:
    """The present operator takes every resource to its end, and begins new ones."""
    grant_rights(plane)
    story, space = before, before.namespace
    with running_operator(plane, tmp_path_factory.mktemp("new") / "operator.log", **SETTINGS) as operator:
        until_resynced(operator)
        story.upgraded = story.stored()
        space.change("suspended", suspend=False)
        for name in ("retrying", "pending", "suspended"):
            story.run(name)
        for name in UNFINISHED:
            story.end(name, old.encode_report(good_report()))  # its image is that of the Job
        space.create("begun")
        story.run("begun")
        space.create("newer", device={"resourceName": "nvidia.com/mig-1g.10gb"})
        story.run("newer")
        story.ended = story.stored()
    return story


@pytest.fixture(scope="module")
def returned(plane: ControlPlane, old: Release, upgraded: Story, tmp_path_factory: pytest.TempPathFactory) -> Story:
    """The last release's operator runs again. The resource definition stays, since that of a version only grows."""
    with running_operator(
        plane, tmp_path_factory.mktemp("returned") / "operator.log", release=old, **SETTINGS
    ) as operator:
        until_resynced(operator)
        upgraded.namespace.until_phase("newer", "Failed")
        upgraded.end("begun", encode_report(good_report()).decode())
        upgraded.returned = upgraded.stored()
    return upgraded


@pytest.fixture(scope="module")
def tomorrow(plane: ControlPlane, returned: Story, tmp_path_factory: pytest.TempPathFactory) -> Story:
    """The present operator runs with a resource definition of the next release, which gives every spec further fields.

    So it is after a rollback of the next release, and whenever the present operator starts again during an upgrade to it.
    """
    folder, story, space = tmp_path_factory.mktemp("tomorrow"), returned, returned.namespace
    with running_operator(plane, folder / "before.log", **SETTINGS):
        space.create("tomorrow")
        story.run("tomorrow")
    (folder / "crd.yaml").write_text(yaml.safe_dump(next_crd()))
    plane.install_crd(folder / "crd.yaml")
    until(lambda: is_next_crd_served(story), "the next definition", 30)
    with running_operator(plane, folder / "after.log", **SETTINGS) as operator:
        until_resynced(operator)
        story.tomorrow = story.stored()
        story.end("tomorrow", encode_report(good_report()).decode())
    return story


def is_next_crd_served(story: Story) -> bool:
    try:
        return "speakers" in story.stored()["tomorrow"]["spec"]
    except RefusedError:  # 429: the apiserver prepares the storage of the new definition
        return False


def next_crd() -> Json:
    """Return the resource definition with a field more in the spec and in its device, both with defaults."""
    crd = read_crd()
    spec = crd["spec"]["versions"][0]["schema"]["openAPIV3Schema"]["properties"]["spec"]
    spec["properties"]["speakers"] = {"type": "integer", "default": 2}
    spec["properties"]["device"]["properties"]["share"] = {"type": "string", "default": "none"}
    return crd


def test_a_new_resource_definition_changes_no_resource_under_the_operator_before(before: Story) -> None:
    assert {name: before.upgraded[name]["status"] for name in STATES} == {
        name: before.before[name]["status"] for name in STATES
    }


@pytest.mark.parametrize("name", FINISHED)
def test_a_finished_resource_is_not_written_again(upgraded: Story, name: str) -> None:
    for now in (upgraded.upgraded, upgraded.ended):
        assert now[name]["status"] == upgraded.before[name]["status"]
        assert now[name]["metadata"]["resourceVersion"] == upgraded.before[name]["metadata"]["resourceVersion"]


@pytest.mark.parametrize("name", UNFINISHED)
def test_an_unfinished_resource_goes_on_with_the_job_that_it_had(upgraded: Story, name: str) -> None:
    status = upgraded.ended[name]["status"]
    assert status["phase"] == "Complete"
    assert [item["key"] for item in status["results"]] == ["interviews/01/01.json", "interviews/01/01.txt"]
    if name != "suspended":
        assert status["jobRef"]["uid"] == upgraded.before[name]["status"]["jobRef"]["uid"]
    assert len(upgraded.namespace.jobs_of(name)) == 1


def test_attempts_before_the_upgrade_count(upgraded: Story) -> None:
    assert upgraded.ended["retrying"]["status"]["attempt"] == 2


@pytest.mark.parametrize("name", [*STATES, "begun"])
def test_back_with_the_last_release_every_resource_keeps_its_end(returned: Story, name: str) -> None:
    status = returned.returned[name]["status"]
    assert status["phase"] == ("Failed" if name == "failed" else "Complete")
    assert status.get("results") == (returned.ended if name != "begun" else returned.returned)[name]["status"].get(
        "results"
    )
    assert len(returned.namespace.jobs_of(name)) == 1


def test_back_with_the_last_release_a_resource_with_a_newer_field_fails_and_names_it(returned: Story) -> None:
    """That operator accepts no field that it does not know, of whatever state the resource is: it cannot run it."""
    failed = returned.returned["newer"]["status"]["failure"]
    assert (failed["reason"], failed["message"].split(":")[0]) == ("InvalidSpec", "spec.device.resourceName")


def test_with_a_newer_definition_the_present_operator_goes_on_and_names_what_it_does_not_know(tomorrow: Story) -> None:
    running = tomorrow.tomorrow["tomorrow"]["status"]
    assert running["phase"] == "Running"
    assert "speakers" in condition(running, "Accepted")["message"]
    assert condition(running, "Running")["reason"] == "WorkerRunning"


@pytest.mark.parametrize("name", FINISHED)
def test_with_a_newer_definition_a_finished_resource_is_not_written_again(tomorrow: Story, name: str) -> None:
    assert tomorrow.tomorrow[name]["status"] == tomorrow.before[name]["status"]
