"""The chart can be installed on a real apiserver and grants the right permissions. No pod runs here."""

import re
import shlex
from collections.abc import Iterator
from pathlib import Path

import pytest
import yaml

from tests.support.controlplane import ControlPlane
from tests.support.helm import NAMESPACE, RELEASE, Helm
from tests.support.kubectl import Kubectl
from tests.support.repository import CHART, ROOT

# A values file that sets every value to something other than its default.
FULL = Path(__file__).with_name("full.yaml")
OPERATOR = f"system:serviceaccount:{NAMESPACE}:{RELEASE}"
JOB = {
    "apiVersion": "transcription.dev/v1alpha1",
    "kind": "TranscriptionJob",
    "metadata": {"name": "kept", "namespace": "default"},
    "spec": {"source": {"s3": {"bucket": "audio", "key": "a.wav"}}, "destination": {"s3": {"bucket": "out"}}},
}


@pytest.fixture(scope="module")
def kubectl(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Kubectl]:
    """Yield kubectl on an apiserver that does not know TranscriptionJobs yet."""
    plane = ControlPlane(tmp_path_factory.mktemp("chart"))
    plane.start()
    try:
        kubectl = Kubectl(plane.kubeconfig)
        for namespace in (NAMESPACE, "team-a", "team-b"):
            kubectl("create", "namespace", namespace)
            restricted = "pod-security.kubernetes.io/enforce=restricted"
            kubectl("label", "namespace", namespace, restricted, "pod-security.kubernetes.io/warn=restricted")
        yield kubectl
    finally:
        plane.stop()


def readmes_install() -> list[str]:
    """Return the words after `helm` in the README's command, with the name of a registry filled in."""
    command = re.search(r"^ *(helm install .*?)^ *```", (ROOT / "README.md").read_text(), re.M | re.S)
    assert command is not None
    words = shlex.split(command[1].replace("\\\n", " ").replace("REGISTRY", "registry.example.com"))
    return [str(CHART) if word == "helm/transcription-operator" else word for word in words[1:]]


@pytest.fixture(scope="module")
def release(kubectl: Kubectl) -> Helm:
    """Return helm, with the release installed as the README says."""
    helm = Helm(kubectl.kubeconfig)
    done = helm(*readmes_install())
    assert "STATUS: deployed" in done.stdout
    # The apiserver warns of pod templates that the restricted standard would not let in.
    assert "would violate PodSecurity" not in done.stderr + done.stdout
    return helm


@pytest.mark.usefixtures("release")
def test_the_install_runs_the_images_that_it_names(kubectl: Kubectl) -> None:
    shown = kubectl("get", "deployment", RELEASE, "-n", NAMESPACE, "-o", "yaml").stdout
    version = yaml.safe_load((CHART / "Chart.yaml").read_text())["appVersion"]
    for name in ("transcription-operator", "transcription-worker"):
        image = f"registry.example.com/{name}:{version}"
        assert image in shown
        assert f"-t {image.replace('registry.example.com', 'REGISTRY')} ." in (ROOT / "README.md").read_text()


@pytest.mark.usefixtures("release")
def test_a_resource_can_be_made_after_the_install(kubectl: Kubectl) -> None:
    kubectl("wait", "--for=condition=Established", "--timeout=30s", "crd/transcriptionjobs.transcription.dev")
    kubectl("create", "-f", "-", given=JOB)


@pytest.mark.usefixtures("release")
def test_the_full_values_give_objects_that_the_apiserver_accepts(kubectl: Kubectl) -> None:
    rendered = Helm().template("--values", str(FULL))
    # The Prometheus operator's resource definition is not ours to install; the golden file shows the PodMonitor.
    items = [item for item in yaml.safe_load_all(rendered) if item and item["kind"] != "PodMonitor"]
    text = yaml.safe_dump_all(items)
    kubectl("apply", "--server-side", "--dry-run=server", "--validate=strict", "-f", "-", given=text)


ALLOWED = [
    "list transcriptionjobs.transcription.dev",
    "watch transcriptionjobs.transcription.dev",
    "delete transcriptionjobs.transcription.dev",
    "update transcriptionjobs.transcription.dev/status",
    "create jobs.batch",
    "patch jobs.batch",
    "delete jobs.batch",
    "watch jobs.batch",
    "list pods",
    "delete pods",
    "create events",
]
REFUSED = [
    "get secrets",
    "list secrets",
    "watch secrets",
    "create transcriptionjobs.transcription.dev",
    "update transcriptionjobs.transcription.dev",
    "update jobs.batch",
    "deletecollection jobs.batch",
    "create pods",
    "create pods/exec",
    "get pods/log",
    "get configmaps",
    "list nodes",
    "create leases.coordination.k8s.io",
    "list namespaces",
    "get customresourcedefinitions.apiextensions.k8s.io",
    "create serviceaccounts/token",
]


def may(kubectl: Kubectl, question: str, namespace: str) -> bool:
    """Return whether the operator's account may do `verb resource` in a namespace."""
    verb, what = question.split()
    resource, _, subresource = what.partition("/")
    options = [f"--subresource={subresource}"] if subresource else []
    asked = ("auth", "can-i", verb, resource, *options, "--as", OPERATOR, "--namespace", namespace)
    return kubectl(*asked, check=False).stdout.strip() == "yes"


@pytest.mark.usefixtures("release")
@pytest.mark.parametrize("question", ALLOWED)
def test_the_operator_may(kubectl: Kubectl, question: str) -> None:
    assert may(kubectl, question, "team-a")


@pytest.mark.usefixtures("release")
@pytest.mark.parametrize("question", REFUSED)
def test_the_operator_may_not(kubectl: Kubectl, question: str) -> None:
    assert not may(kubectl, question, "team-a")


@pytest.mark.usefixtures("release")
def test_the_operator_may_lead_in_its_own_namespace(kubectl: Kubectl) -> None:
    assert may(kubectl, "create leases.coordination.k8s.io", NAMESPACE)
    asked = ("auth", "can-i", "update", f"leases.coordination.k8s.io/{RELEASE}", "--as", OPERATOR, "-n", NAMESPACE)
    assert kubectl(*asked).stdout.strip() == "yes"
    other = ("auth", "can-i", "update", "leases.coordination.k8s.io/other", "--as", OPERATOR, "-n", NAMESPACE)
    assert kubectl(*other, check=False).stdout.strip() == "no"


def test_upgrade_and_uninstall_lose_no_resource(kubectl: Kubectl, release: Helm) -> None:
    kubectl("apply", "-f", "-", given=JOB)
    before = kubectl("get", "tj", "kept", "-o", "jsonpath={.metadata.uid}").stdout
    release("upgrade", RELEASE, str(CHART), "--namespace", NAMESPACE, "--set", "logFormat=text")
    release("uninstall", RELEASE, "--namespace", NAMESPACE)
    assert kubectl("get", "tj", "kept", "-o", "jsonpath={.metadata.uid}").stdout == before
    release("install", RELEASE, str(CHART), "--namespace", NAMESPACE)
    assert kubectl("get", "tj", "kept", "-o", "jsonpath={.metadata.uid}").stdout == before
