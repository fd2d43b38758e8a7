"""One table of all nodes comes together from the termination messages of the doctor's pods."""

import io
import json
import sys
from pathlib import Path
from typing import Any

import pytest
import yaml
from transcription_api import exit_codes
from transcription_api.report import TERMINATION_MESSAGE_LIMIT
from transcription_api.spec import DevicePolicy
from transcription_worker import doctor, doctor_nodes
from transcription_worker.doctor_nodes import CONTAINER, node_verdicts, render_nodes
from transcription_worker.gpu_diagnosis import DeviceFacts
from transcription_worker.nvml import GPU

from tests.support.repository import ROOT

H100, T4 = GPU("NVIDIA H100 80GB HBM3", (9, 0), 80 << 30), GPU("Tesla T4", (7, 5), 15 << 30)
USABLE = DeviceFacts(
    "2.15.0+cu132", "13.2", ("sm_75", "sm_90"), driver="580.95.05", driver_cuda="13.0", gpus=(H100,) * 8
)
TOO_OLD = DeviceFacts(
    "2.15.0+cu132", "13.2", driver="550.54.15", driver_cuda="12.4", present=(T4,), init_error="driver is too old"
)


def message_of(facts: DeviceFacts, path: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    """Return what the doctor leaves in its termination message."""
    monkeypatch.setattr(doctor, "observe_device", lambda: facts)
    monkeypatch.setenv("TRANSCRIPTION_ROOT", str(path))
    (path / "dev").mkdir(exist_ok=True)
    written = path / "dev/termination-log"
    written.touch()  # as the kubelet does
    doctor.run_doctor(DevicePolicy.PREFER_GPU, as_json=False)
    assert len(written.read_bytes()) <= TERMINATION_MESSAGE_LIMIT
    return written.read_text()


def pod(node: str, state: dict[str, Any] | None, scheduled: bool = True, **status: Any) -> dict[str, Any]:
    """Return a pod of examples/doctor-nodes.yaml, as the DaemonSet's controller, the scheduler and the kubelet leave it."""
    spec = yaml.safe_load((ROOT / "examples/doctor-nodes.yaml").read_text())["spec"]["template"]["spec"]
    names = [{"matchFields": [{"key": "metadata.name", "operator": "In", "values": [node]}]}]
    required = {"requiredDuringSchedulingIgnoredDuringExecution": {"nodeSelectorTerms": names}}
    spec |= {"affinity": {"nodeAffinity": required}} | ({"nodeName": node} if scheduled else {})
    (init,) = spec["initContainers"]
    statuses = [{"name": init["name"], "state": state}] if state is not None else []
    meta = {"name": f"transcription-doctor-{node}", "creationTimestamp": "2026-11-27T17:00:00Z"}
    return {"metadata": meta, "spec": spec, "status": {"initContainerStatuses": statuses} | status}


def ended(message: str, code: int = 0) -> dict[str, Any]:
    return {"terminated": {"exitCode": code, "reason": "Completed" if code == 0 else "Error", "message": message}}


def test_the_table_has_each_node_with_its_gpu_driver_images_and_verdict(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    pods = [
        pod("gpu-2", ended(message_of(TOO_OLD, tmp_path, monkeypatch))),
        pod("gpu-1", ended(message_of(USABLE, tmp_path, monkeypatch))),
    ]
    table = render_nodes(node_verdicts(pods)).splitlines()
    assert table[0].split() == ["NODE", "GPU", "DRIVER", "CUDA", "IMAGES", "VERDICT"]
    assert table[1] == "gpu-1   NVIDIA H100 80GB HBM3   580.95.05   13.0   CUDA 13, CUDA 12   usable"
    assert table[2] == "gpu-2   Tesla T4                550.54.15   12.4   CUDA 12            GPUDriverTooOld"
    assert table[4].startswith(
        "gpu-2: driver 550.54.15, which knows CUDA 12.4; CUDA 13.2 of torch 2.15.0+cu132 needs 580"
    )
    assert "Update the node's NVIDIA driver" in table[4]


NO_GPU = "0/3 nodes are available: 1 Insufficient nvidia.com/gpu."


@pytest.mark.parametrize(
    ("found", "verdict", "words"),
    [
        (
            pod(
                "n",
                None,
                scheduled=False,
                conditions=[{"type": "PodScheduled", "status": "False", "reason": "Unschedulable", "message": NO_GPU}],
            ),
            "Unschedulable",
            NO_GPU,
        ),
        (
            pod("n", {"waiting": {"reason": "ImagePullBackOff", "message": "not found"}}),
            "ImagePullBackOff",
            "not found",
        ),
        (pod("n", {"waiting": {"reason": "PodInitializing"}}), "PodInitializing", ""),
        (pod("n", {"running": {}}), "Running", ""),
        (
            pod("n", None, reason="UnexpectedAdmissionError", message="no healthy devices"),
            "UnexpectedAdmissionError",
            "no healthy",
        ),
        (pod("n", ended("", 137)), "NoReport", "exit code 137"),
        (pod("n", ended("[1]")), "NoReport", "see its log"),
        (pod("n", None), "Pending", ""),
    ],
)
def test_a_node_without_an_answer_says_what_its_pod_waits_for(found: dict[str, Any], verdict: str, words: str) -> None:
    (row,) = node_verdicts([found])
    assert (row.node, row.verdict) == ("n", verdict)
    assert words in row.message


def test_what_a_pod_wrote_can_neither_break_a_line_nor_fill_the_screen() -> None:
    hostile = {
        "usable": False,
        "reason": "x\n\x1b[2J" * 99,
        "message": "y\n" * 2000,
        "gpus": [1, {"name": 2}],
        "driver": [3],
    }
    text = render_nodes(node_verdicts([pod("n", ended(json.dumps(hostile)))]))
    assert len(text.splitlines()) == 4
    assert max(map(len, text.splitlines())) < 700
    assert text.replace("\n", "").isprintable()


def test_of_two_pods_of_a_node_the_newer_one_counts() -> None:
    old, new = pod("n", ended("", 1)), pod("n", {"running": {}})
    new["metadata"]["creationTimestamp"] = "2026-11-27T18:00:00Z"
    assert [row.verdict for row in node_verdicts([new, old])] == ["Running"]


def test_the_command_reads_what_kubectl_prints_and_its_exit_code_is_the_verdict(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def printed(text: str) -> int:
        monkeypatch.setattr(sys, "stdin", io.StringIO(text))
        return doctor_nodes.print_nodes()

    usable = pod("n", ended(json.dumps({"usable": True, "driver": "580.95.05"})))
    assert printed(json.dumps({"items": [usable]})) == exit_codes.OK
    assert printed(json.dumps({"items": [usable, pod("m", None)]})) == exit_codes.DEVICE_UNUSABLE
    assert printed(json.dumps({"items": []})) == exit_codes.DEVICE_UNUSABLE
    assert "nodeSelector" in capsys.readouterr().out
    assert printed("NAME READY") == printed("[]") == exit_codes.TASK_INVALID
    assert "kubectl get pods --output json" in capsys.readouterr().err


def test_a_message_that_is_too_long_keeps_what_the_table_needs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    nodes = tuple(f"/dev/nvidia{number}" for number in range(400))
    written = json.loads(message_of(DeviceFacts("2", "13", init_error="e" * 9000, nodes=nodes), tmp_path, monkeypatch))
    assert set(written) == set(doctor.ESSENTIAL)


def test_the_example_runs_the_doctor_in_the_container_that_is_read() -> None:
    spec = yaml.safe_load((ROOT / "examples/doctor-nodes.yaml").read_text())["spec"]["template"]["spec"]
    (container,) = spec["initContainers"]
    assert (container["name"], container["args"][0]) == (CONTAINER, "doctor")
    assert spec["automountServiceAccountToken"] is False
