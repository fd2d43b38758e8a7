"""Both images have the size, user and file system that they should, and the doctor runs on a node without a GPU."""

import re
import subprocess
from pathlib import Path
from typing import Any

import pytest
import yaml
from transcription_api import exit_codes

from tests.support.helm import NAMESPACE
from tests.support.job_namespace import PATIENCE, JobNamespace
from tests.support.repository import ROOT
from tests.support.stack.images import existing_cluster
from tests.support.stack.kube import apply, get, kubectl, run, until
from tests.support.stack.release import operator_pods

# The bytes that the operator's image may add to its base.
OPERATOR_BYTES = 250e6
# The bytes of our own code in the worker's image, which change with each commit, unlike torch and CUDA.
OWN_CODE_BYTES = 3e6

DOCTOR_NODES = ROOT / "examples/doctor-nodes.yaml"

local = pytest.mark.skipif(existing_cluster(), reason="images of a registry, not of this machine's engine")


def size(image: str) -> int:
    return int(run("docker", "image", "inspect", "--format", "{{.Size}}", image))


def base_image() -> str:
    """Return the image that the operator's Dockerfile builds on."""
    found = re.search(r"^FROM (debian:\S+)", (ROOT / "Dockerfile.operator").read_text(), re.MULTILINE)
    assert found is not None
    return found[1]


def reference(image: dict[str, str]) -> str:
    return f"{image['repository']}:{image['tag']}"


@local
def test_the_operators_image_is_small(values: dict[str, Any]) -> None:
    assert size(reference(values["image"])) - size(base_image()) < OPERATOR_BYTES


@local
def test_a_change_of_our_code_changes_only_small_layers_of_the_workers_image(values: dict[str, Any]) -> None:
    history = run(
        "docker",
        "history",
        "--human=false",
        "--format",
        "{{.Size}} {{.CreatedBy}}",
        reference(values["worker"]["image"]),
    )
    layers = [(int(line.split(" ", 1)[0]), line.split(" ", 1)[1]) for line in history.splitlines()]  # the newest first
    own = next(n for n, (_, step) in enumerate(layers) if "/opt/venv /opt/venv" in step)
    assert sum(count for count, _ in layers[: own + 1]) < OWN_CODE_BYTES
    assert layers[own][0] > 0


def doctor(values: dict[str, Any], namespace: str) -> dict[str, Any]:
    """Return the pod of examples/doctor.yaml with our image."""
    pod: dict[str, Any] = yaml.safe_load((ROOT / "examples/doctor.yaml").read_text())
    pod["metadata"] = {"name": "doctor", "namespace": namespace}
    pod["spec"]["containers"][0]["image"] = reference(values["worker"]["image"])
    return pod


def test_the_doctor_names_what_a_node_without_a_gpu_lacks(namespace: JobNamespace, values: dict[str, Any]) -> None:
    apply(doctor(values, namespace.name))

    def ended() -> dict[str, Any] | None:
        states = ((get("pod", "doctor", namespace.name) or {})["status"].get("containerStatuses") or [{}])[0]
        found: dict[str, Any] | None = states.get("state", {}).get("terminated")
        return found

    state = until(ended, PATIENCE, "the doctor to end")
    said = kubectl("logs", "doctor", "-n", namespace.name)
    assert state["exitCode"] == exit_codes.DEVICE_UNUSABLE, said
    assert "GPUDriverMissing" in said
    assert "Install the NVIDIA driver" in said


def doctors(values: dict[str, Any]) -> str:
    """Return the DaemonSet of examples/doctor-nodes.yaml with our image."""
    manifest: dict[str, Any] = yaml.safe_load(DOCTOR_NODES.read_text())
    pod = manifest["spec"]["template"]["spec"]
    for container in pod["initContainers"] + pod["containers"]:
        container["image"] = reference(values["worker"]["image"])
    return yaml.safe_dump(manifest)


def test_the_commands_of_the_example_print_a_table_of_the_gpu_nodes(
    namespace: JobNamespace, values: dict[str, Any], tmp_path: Path
) -> None:
    (tmp_path / "examples").mkdir()
    (tmp_path / "examples/doctor-nodes.yaml").write_text(doctors(values))
    commands = [line.removeprefix("#   ") for line in DOCTOR_NODES.read_text().splitlines() if line.startswith("#   ")]
    program = "\n".join(commands).replace("kubectl ", f"kubectl -n {namespace.name} ")
    done = subprocess.run(["bash", "-c", program], cwd=tmp_path, capture_output=True, text=True, check=False)
    table = [line.split() for line in done.stdout.splitlines() if line.endswith(("VERDICT", "GPUDriverMissing"))]
    assert table[0] == ["NODE", "GPU", "DRIVER", "CUDA", "IMAGES", "VERDICT"], done.stdout + done.stderr
    assert [row[1:] for row in table[1:]] == [["-", "-", "-", "-", "GPUDriverMissing"]], done.stdout
    assert "Install the NVIDIA driver" in done.stdout


def test_the_operator_runs_as_nobody_in_particular_on_a_root_that_it_cannot_write_to() -> None:
    (pod,) = operator_pods()
    assert kubectl("exec", pod, "-n", NAMESPACE, "--", "id", "-u").strip() == "65532"
    with pytest.raises(RuntimeError, match="Read-only file system"):
        kubectl("exec", pod, "-n", NAMESPACE, "--", "sh", "-c", "echo > /opt/venv/written")
