"""The chart renders the right manifests, without a cluster."""

import dataclasses
import json
import os
import tarfile
from pathlib import Path
from typing import Any

import pytest
import yaml
from transcription_operator.config import Config, parse_config
from transcription_operator.worker_images import WorkerImage
from transcription_operator.worker_settings import WorkerSettings, parse_worker_settings

from tests.support.helm import Helm
from tests.support.kubelet_expansion import container_environment
from tests.support.repository import CHART, CRD

# A values file that sets every value to something other than its default.
FULL = Path(__file__).with_name("full.yaml")
GOLDEN = Path(__file__).with_name("golden")
# The variable that, set to any text, writes the golden files anew.
UPDATE = "UPDATE_GOLDEN"


# The workers' settings in that file.
SETTINGS = {
    name: value
    for name, value in yaml.safe_load(FULL.read_text())["worker"].items()
    if name not in ("image", "images", "imagePullSecrets", "resources")
}
SETTINGS["podSecurityContext"] = {
    "runAsNonRoot": True,
    "seccompProfile": {"type": "RuntimeDefault"},
    "fsGroupChangePolicy": "Always",
}


def manifests(text: str) -> list[dict[str, Any]]:
    return [item for item in yaml.safe_load_all(text) if item]


def find(items: list[dict[str, Any]], kind: str) -> dict[str, Any]:
    """Return the only manifest of a kind."""
    (found,) = [item for item in items if item["kind"] == kind]
    return found


def container(items: list[dict[str, Any]]) -> dict[str, Any]:
    (found,) = find(items, "Deployment")["spec"]["template"]["spec"]["containers"]
    assert isinstance(found, dict)
    return found


@pytest.mark.parametrize("options", [[], ["--values", str(FULL)]], ids=["default", "full"])
def test_helm_lint_finds_nothing(helm: Helm, options: list[str]) -> None:
    helm("lint", "--strict", str(CHART), *options)


@pytest.mark.parametrize(
    ("name", "options"),
    [("default", ["--set", "crds.install=false"]), ("full", ["--values", str(FULL)])],
)
def test_the_manifests_are_the_golden_ones(helm: Helm, name: str, options: list[str]) -> None:
    path, rendered = GOLDEN / f"{name}.yaml", helm.template(*options)
    if os.environ.get(UPDATE):
        path.write_text(rendered)
    assert manifests(rendered) == manifests(path.read_text())


def test_the_crd_is_installed_as_it_is_and_kept(helm: Helm) -> None:
    crd = find(manifests(helm.template()), "CustomResourceDefinition")
    assert crd["metadata"].pop("annotations") == {"helm.sh/resource-policy": "keep"}
    assert crd == yaml.safe_load(CRD.read_text())


def test_the_crd_can_be_left_to_go_with_the_release(helm: Helm) -> None:
    crd = find(manifests(helm.template("--set", "crds.keep=false")), "CustomResourceDefinition")
    assert "annotations" not in crd["metadata"]


def settings(items: list[dict[str, Any]]) -> dict[str, str]:
    """Return the container's environment, as a pod named operator-1 has it."""
    from_pod = {"metadata.namespace": "transcription-system", "metadata.name": "operator-1"}
    return {
        item["name"]: item["value"] if "value" in item else from_pod[item["valueFrom"]["fieldRef"]["fieldPath"]]
        for item in container(items)["env"]
        if item["name"].startswith("TRANSCRIPTION_")
    }


def test_the_default_values_are_the_operators_own_defaults(helm: Helm) -> None:
    given = settings(manifests(helm.template()))
    config = parse_config(given)
    known = {
        "TRANSCRIPTION_WORKER_IMAGE": config.worker_image,
        "TRANSCRIPTION_WORKER_IMAGES": given["TRANSCRIPTION_WORKER_IMAGES"],
        "TRANSCRIPTION_PLANNER_IMAGE": config.planner_image,
        "TRANSCRIPTION_LEASE_NAMESPACE": "transcription-system",
        "TRANSCRIPTION_POD_NAME": "operator-1",
    }
    assert config == parse_config(known)


def test_every_value_reaches_the_operator(helm: Helm) -> None:
    config = parse_config(settings(manifests(helm.template("--values", str(FULL)))))
    assert config.worker_image == f"registry.example/transcription-worker@sha256:{'b' * 64}"
    assert config.images == (
        WorkerImage("registry.example/worker:1.2.3-cuda12", "12.8", 525, ("7.0", "12.0+PTX")),
        WorkerImage(f"registry.example/worker@sha256:{'c' * 64}"),
    )
    assert config.read_nodes
    assert config.worker_image_pull_policy == "Never"
    assert config.worker_image_pull_secrets == ("registry", "other")
    assert config.worker_resources == {"requests": {"cpu": "4", "memory": "4Gi"}, "limits": {"memory": "12Gi"}}
    assert config.worker == parse_worker_settings(json.dumps(SETTINGS))
    unchanged = [name for name, value in vars(WorkerSettings()).items() if getattr(config.worker, name) == value]
    assert unchanged == []
    assert config.namespaces == ("team-a", "team-b")
    assert config.queue_workers == 32
    assert config.resync_seconds == 600
    assert (config.progress_seconds, config.sidecar_grace_seconds) == (2.5, 45)
    assert (config.log_format, config.log_level) == ("text", "DEBUG")
    assert config.node_cache_path == "/var/cache/whisper"
    assert config.allowed_endpoints == ("*.storage.svc", "s3.eu-west-1.amazonaws.com")
    assert (config.lease_name, config.lease_seconds) == ("speech-transcriber", 30)
    assert config.http_port == 9090


def test_without_a_list_the_only_image_is_the_charts_with_what_it_needs_of_a_node(helm: Helm) -> None:
    given = ("--set", "worker.image.repository=mirror/worker", "--set", "worker.image.tag=v2")
    config = parse_config(settings(manifests(helm.template(*given))))
    (image,) = config.images
    assert (image.reference, image.min_driver) == (config.worker_image, 580) == ("mirror/worker:v2", 580)
    assert {"7.5", "9.0"} <= set(image.compute_capabilities)


def test_values_of_an_earlier_release_say_nothing_of_nodes(helm: Helm) -> None:
    """They lack the keys, as with helm upgrade --reuse-values."""
    absent = [
        f"{key}=null" for key in ("worker.image.cuda", "worker.image.minDriver", "worker.image.computeCapabilities")
    ]
    keys = [*absent, "worker.images=null", "rbac.readNodes=null"]
    config = parse_config(settings(manifests(helm.template(*(word for key in keys for word in ("--set", key))))))
    assert config.images == (WorkerImage(config.worker_image),)
    assert not config.read_nodes


def test_a_value_that_is_null_is_the_operators_own_default(helm: Helm, tmp_path: Path) -> None:
    """Helm takes a key away whose value is null. What remains must not keep the operator from starting."""
    needed = {"image.repository", "worker.image.repository", "worker.podSecurityContext", "httpPort"}
    values = _with_null(yaml.safe_load((CHART / "values.yaml").read_text()), needed)
    (tmp_path / "null.yaml").write_text(json.dumps(values))
    given = settings(manifests(helm.template("--values", str(tmp_path / "null.yaml"))))
    config = parse_config({name: value or "" for name, value in given.items()})
    default = Config(worker_image=config.worker_image)
    assert config == dataclasses.replace(
        default,
        worker_images=(WorkerImage(config.worker_image),),
        planner_image=config.planner_image,
        lease_name=config.lease_name,
        lease_namespace=config.lease_namespace,
        pod_name=config.pod_name,
    )


def _with_null(values: dict[str, Any], kept: set[str], path: str = "") -> dict[str, Any]:
    """Return the values that are no objects as null, but for those that are kept."""
    return {
        name: value
        if f"{path}{name}" in kept
        else (_with_null(value, kept, f"{path}{name}.") if isinstance(value, dict) and value else None)
        for name, value in values.items()
    }


@pytest.mark.parametrize("name", ["worker", "tuning", "rbac", "crds", "httpPort"])
def test_a_null_in_the_place_of_what_the_chart_needs_is_refused_by_name(helm: Helm, name: str) -> None:
    with pytest.raises(AssertionError, match=f"missing property '{name}'"):
        helm.template("--set", f"{name}=null")


@pytest.mark.parametrize("namespaces", [[], ["team-a"]], ids=["all", "one"])
def test_nodes_may_be_listed_only_where_that_is_said(helm: Helm, namespaces: list[str]) -> None:
    watched = ("--set-json", f"namespaces={json.dumps(namespaces)}")
    allowed = manifests(helm.template(*watched, "--set", "rbac.readNodes=true"))
    assert [rule["verbs"] for rule in _rules(allowed) if "nodes" in rule["resources"]] == [["list"]]
    assert [rule for rule in _rules(manifests(helm.template(*watched))) if "nodes" in rule["resources"]] == []


def _rules(items: list[dict[str, Any]]) -> list[dict[str, Any]]:
    return [rule for item in items if item["kind"] == "ClusterRole" for rule in item["rules"]]


def test_a_dollar_in_a_value_reaches_the_operator_as_it_was_written(helm: Helm) -> None:
    given = "/cache/$$models/$(TRANSCRIPTION_WORKER_IMAGE)"
    env = container(manifests(helm.template("--set", f"modelCache.hostPath={given}")))["env"]
    seen = container_environment([item for item in env if "value" in item])
    assert seen["TRANSCRIPTION_NODE_CACHE_PATH"] == given


def test_a_digest_takes_the_place_of_the_tag(helm: Helm) -> None:
    digest = f"sha256:{'0' * 64}"
    items = manifests(helm.template("--set", f"image.digest={digest}", "--set", "image.repository=registry.example/op"))
    assert container(items)["image"] == f"registry.example/op@{digest}"


@pytest.mark.parametrize("values", [["registry", "mirror"], [{"name": "registry"}]], ids=["names", "objects"])
def test_pull_secrets_are_names_or_objects_with_a_name(helm: Helm, values: list[Any]) -> None:
    keys = ("imagePullSecrets", "worker.imagePullSecrets")
    options = [word for key in keys for word in ("--set-json", f"{key}={json.dumps(values)}")]
    items = manifests(helm.template(*options))
    names = [value if isinstance(value, str) else value["name"] for value in values]
    pod = find(items, "Deployment")["spec"]["template"]["spec"]
    assert pod["imagePullSecrets"] == [{"name": name} for name in names]
    assert parse_config(settings(items)).worker_image_pull_secrets == tuple(names)


def test_a_variable_that_the_chart_sets_is_refused_by_name(helm: Helm) -> None:
    given = ("--set-json", 'extraEnv=[{"name":"TRANSCRIPTION_HTTP_PORT","value":"1"}]')
    done = helm("template", "any", str(CHART), *given, check=False)
    assert done.returncode != 0
    assert "extraEnv: got TRANSCRIPTION_HTTP_PORT, expected a name without TRANSCRIPTION_" in done.stderr


def test_a_platform_may_choose_the_workers_user(helm: Helm) -> None:
    ids = ("runAsUser", "runAsGroup", "fsGroup")
    options = [word for name in ids for word in ("--set", f"worker.podSecurityContext.{name}=null")]
    context = parse_config(settings(manifests(helm.template(*options)))).worker.pod_security_context
    assert context["runAsNonRoot"] is True
    assert not set(ids) & set(context)


def test_the_environment_holds_nothing_that_the_operator_does_not_read(helm: Helm) -> None:
    fields = {f"TRANSCRIPTION_{name.upper()}" for name in parse_config({"TRANSCRIPTION_WORKER_IMAGE": "w"}).__dict__}
    assert set(settings(manifests(helm.template()))) == fields


def test_probes_ask_the_port_that_the_operator_serves(helm: Helm) -> None:
    found = container(manifests(helm.template("--set", "httpPort=9999")))
    assert found["ports"] == [{"name": "http", "containerPort": 9999}]
    assert found["livenessProbe"]["httpGet"] == {"path": "/healthz", "port": "http"}
    assert found["readinessProbe"]["httpGet"] == {"path": "/readyz", "port": "http"}


def test_with_namespaces_the_operator_has_no_cluster_wide_rights(helm: Helm) -> None:
    options = ["--set", "namespaces={team-a,team-b}", "--set", "rbac.aggregateRoles=false"]
    items = manifests(helm.template(*options))
    assert not [item for item in items if item["kind"].startswith("ClusterRole")]
    roles = {item["metadata"]["namespace"] for item in items if item["kind"] == "Role"}
    assert roles == {"team-a", "team-b", "transcription-system"}


def test_one_replica_has_no_disruption_budget_that_would_block_a_drain(helm: Helm) -> None:
    kinds = {item["kind"] for item in manifests(helm.template())}
    assert "PodDisruptionBudget" not in kinds
    more = {item["kind"] for item in manifests(helm.template("--set", "replicas=2"))}
    assert "PodDisruptionBudget" in more


def test_a_misspelt_value_is_refused_by_name(helm: Helm) -> None:
    done = helm("template", "any", str(CHART), "--set", "replicaCount=2", check=False)
    assert done.returncode != 0
    assert "replicaCount" in done.stderr


def test_a_package_holds_the_crd_itself(helm: Helm, tmp_path: Path) -> None:
    helm("package", str(CHART), "--destination", str(tmp_path))
    (package,) = tmp_path.glob("*.tgz")
    with tarfile.open(package) as archive:
        member = archive.getmember(f"transcription-operator/files/{CRD.name}")
        found = archive.extractfile(member)
        assert found is not None
        assert found.read() == CRD.read_bytes()
