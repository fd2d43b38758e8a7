"""kubectl shows and explains the resource."""

import json
import subprocess
import sys
from typing import Any

import pytest
import yaml
from transcription_api import exit_codes
from transcription_api.codec import to_json
from transcription_api.report import DeviceUsed, FileCounts, ModelUsed, QualityCounts
from transcription_api.spec import Spec, parse_spec
from transcription_api.status import (
    MAX_RESULTS,
    Condition,
    ConditionType,
    Failure,
    JobRef,
    Phase,
    ProgressStatus,
    ResultObject,
    Status,
)

from tests.support.kubectl import Kubectl
from tests.support.manifests import job
from tests.support.repository import ROOT

TIME = "2026-11-24T04:00:00Z"
FULL = Status(
    observed_generation=1,
    phase=Phase.COMPLETE,
    conditions=tuple(Condition(kind.value, "True", "SpecValid", "m", TIME, 1) for kind in ConditionType),
    job_ref=JobRef("case-1", "0a1b", 1),
    attempt=2,
    queued_time=TIME,
    start_time=TIME,
    completion_time=TIME,
    queue_seconds=0.5,
    progress=ProgressStatus("transcribe", 50, 30.5, 61.0, 12.0, observed_time=TIME),
    engine="batched (openai-whisper 20250625)",
    device=DeviceUsed("cuda", "NVIDIA H100 80GB HBM3", "580.65.06", "13.0", "2.12.0", "9.0", "GPUFailed", "Xid"),
    model=ModelUsed("turbo", "sha256:" + "0" * 64),
    precision="float16",
    long_form="sequential",
    channels=2,
    language="pt",
    language_probability=0.987,
    audio_seconds=3723.4,
    audio_duration="1h02m03s",
    wall_seconds=91.3,
    rtfx=40.8,
    words=9000,
    segments=800,
    quality=QualityCounts("doubtful", 1, 2, 3, 4, 5),
    results=(
        ResultObject("json", "out/01.ch0.json", 12345, '"9b2cf535f27731c974343645a3985328"', 0),
        ResultObject("json", "out/01.ch1.json", 12345, "", 1),
    ),
    report_key="out/01.report.json",
    reused=False,
    preview="Hello",
    failure=Failure("NoSuchKey", "no such key", "Check the key.", 65),
)


def with_status(kubectl: Kubectl, status: dict[str, Any], **spec: Any) -> str:
    """Create a resource with this status and return its name."""
    name: str = kubectl.create(job(**spec))["metadata"]["name"]
    kubectl("patch", "tj", name, "--subresource=status", "--type=merge", "-p", json.dumps({"status": status}))
    return name


def test_a_full_status_is_stored_without_loss(kubectl: Kubectl) -> None:
    name = with_status(kubectl, to_json(FULL))
    assert json.loads(kubectl("get", "tj", name, "-o", "json").stdout)["status"] == to_json(FULL)


def test_columns_say_what_ran_how_long_and_how_fast(kubectl: Kubectl) -> None:
    name = with_status(kubectl, to_json(FULL))
    header, row = kubectl("get", "tj", name).stdout.splitlines()
    columns = "NAME PHASE FILES FAILED PROGRESS MODEL DEVICE LANGUAGE AUDIO DURATION RTFX ETA AGE"
    assert header.split() == columns.split()
    # The columns of many files are empty for one.
    assert row.split()[:-1] == [name, "Complete", "50", "turbo", "cuda", "pt", "1h02m03s", "40.8"]


def test_columns_say_how_many_files_are_done_and_when_the_rest_will_be(kubectl: Kubectl) -> None:
    progress = ProgressStatus("transcribe", percent=96, eta="3m20s")
    many = Status(
        phase=Phase.RUNNING, files=FileCounts(300, failed=2), files_done="288/300", rtfx=81.5, progress=progress
    )
    name = with_status(kubectl, to_json(many))
    _, row = kubectl("get", "tj", name).stdout.splitlines()
    assert row.split()[:-1] == [name, "Running", "288/300", "2", "96", "81.5", "3m20s"]


def test_wide_columns_name_the_engine_and_the_quality(kubectl: Kubectl) -> None:
    name = with_status(kubectl, to_json(FULL))
    header, row = kubectl("get", "tj", name, "-o", "wide").stdout.splitlines()
    assert header.split().index("ENGINE") < header.split().index("QUALITY")
    assert "batched (openai-whisper 20250625)   doubtful" in row


def test_the_most_results_that_a_status_can_have_are_stored(kubectl: Kubectl) -> None:
    results = [
        {"format": "txt", "key": "k" * 512, "size": 0, "etag": "", "channel": index} for index in range(MAX_RESULTS)
    ]
    name = with_status(kubectl, {"results": results})
    assert json.loads(kubectl("get", "tj", name, "-o", "json").stdout)["status"]["results"] == results


def test_wide_columns_name_the_reason_of_a_failure(kubectl: Kubectl) -> None:
    name = with_status(kubectl, to_json(FULL))
    header, row = kubectl("get", "tj", name, "-o", "wide").stdout.splitlines()
    assert "REASON" in header
    assert "NoSuchKey" in row
    assert "NVIDIA H100 80GB HBM3" in row


def test_resources_are_selected_by_phase(kubectl: Kubectl) -> None:
    failed = with_status(kubectl, {"phase": "Failed"})
    complete = with_status(kubectl, {"phase": "Complete"})
    found = kubectl("get", "tj", "--field-selector", "status.phase=Failed", "-o", "name").stdout
    assert failed in found
    assert complete not in found


def test_resources_are_selected_by_model(kubectl: Kubectl) -> None:
    tiny = kubectl.create(job(model={"name": "tiny"}))["metadata"]["name"]
    found = kubectl("get", "tj", "--field-selector", "spec.model.name=tiny", "-o", "name").stdout
    assert tiny in found
    assert all(name.startswith("transcriptionjob.transcription.dev/") for name in found.split())


def test_kubectl_waits_for_a_condition(kubectl: Kubectl) -> None:
    condition = to_json(Condition("Complete", "True", "ResultsVerified", "m", TIME, 1))
    name = with_status(kubectl, {"phase": "Complete", "conditions": [condition]})
    kubectl("wait", "--for=condition=Complete", f"tj/{name}", "--timeout=5s")


def test_a_write_to_the_resource_leaves_the_status_alone(kubectl: Kubectl) -> None:
    created = kubectl.create(job() | {"status": {"phase": "Complete"}})
    assert "status" not in created


def test_a_phase_that_does_not_exist_is_refused(kubectl: Kubectl) -> None:
    name = kubectl.create(job())["metadata"]["name"]
    done = kubectl(
        *("patch", "tj", name, "--subresource=status", "--type=merge", "-p", '{"status": {"phase": "Done"}}'),
        check=False,
    )
    assert "status.phase" in done.stderr
    assert '"Done"' in done.stderr


def test_kubectl_explains_a_field(kubectl: Kubectl) -> None:
    said = kubectl("explain", "tj.spec.device.policy").stdout
    assert "RequireGPU transcribes on a CUDA device or not at all" in said


EXAMPLES = sorted(path.name for path in (ROOT / "examples").glob("*.yaml"))


@pytest.mark.parametrize("example", EXAMPLES)
def test_an_example_is_accepted_and_read_by_operator_and_worker(kubectl: Kubectl, example: str) -> None:
    path = str(ROOT / "examples" / example)
    done = kubectl("create", "--dry-run=server", "--validate=strict", "-f", path, "-o", "yaml").stdout
    specs = [parse_spec(item["spec"]) for item in yaml.safe_load_all(done) if item["kind"] == "TranscriptionJob"]
    assert len(specs) == (ROOT / "examples" / example).read_text().count("kind: TranscriptionJob")
    assert all(isinstance(spec, Spec) for spec in specs)


DOCTOR_NODES = ROOT / "examples/doctor-nodes.yaml"
DOCTOR_REPORT = {"usable": True, "driver": "580.95.05", "driverCUDA": "13.0", "usableImages": ["13", "12"]}


def doctor_pod(node: str, bound: bool) -> dict[str, Any]:
    """Return a pod as the DaemonSet's controller makes it for a node; the scheduler binds it where a GPU is free."""
    template = yaml.safe_load(DOCTOR_NODES.read_text())["spec"]["template"]
    fields = [{"key": "metadata.name", "operator": "In", "values": [node]}]
    terms = {"nodeSelectorTerms": [{"matchFields": fields}]}
    affinity = {"nodeAffinity": {"requiredDuringSchedulingIgnoredDuringExecution": terms}}
    meta = template["metadata"] | {"name": f"transcription-doctor-{node}"}
    spec = template["spec"] | {"affinity": affinity} | ({"nodeName": node} if bound else {})
    return {"apiVersion": "v1", "kind": "Pod", "metadata": meta, "spec": spec}


def write_status(kubectl: Kubectl, node: str, **status: Any) -> None:
    patch = json.dumps({"status": status}, allow_nan=False)
    kubectl("patch", "pod", f"transcription-doctor-{node}", "--subresource=status", "--type=merge", "-p", patch)


def test_the_doctors_table_of_nodes_is_made_of_what_kubectl_prints(kubectl: Kubectl) -> None:
    kubectl.create(doctor_pod("gpu-1", bound=True))
    kubectl.create(doctor_pod("gpu-2", bound=False))
    ended = {"exitCode": 0, "reason": "Completed", "message": json.dumps(DOCTOR_REPORT, allow_nan=False)}
    init = {"name": "doctor", "image": "i", "imageID": "i", "ready": True, "restartCount": 0}
    write_status(kubectl, "gpu-1", initContainerStatuses=[init | {"state": {"terminated": ended}}])
    words = "0/2 nodes are available: 1 Insufficient nvidia.com/gpu."
    waits = {"type": "PodScheduled", "status": "False", "reason": "Unschedulable", "message": words}
    write_status(kubectl, "gpu-2", conditions=[waits])
    printed = kubectl("get", "pods", "-l", "app.kubernetes.io/name=transcription-doctor", "--output", "json").stdout
    program = "from transcription_worker.main import main; main()"
    command = [sys.executable, "-c", program, "doctor", "--nodes"]
    done = subprocess.run(command, input=printed, capture_output=True, text=True, check=False)
    assert done.returncode == exit_codes.DEVICE_UNUSABLE, done.stderr
    assert done.stdout.splitlines() == [
        "NODE    GPU   DRIVER      CUDA   IMAGES             VERDICT",
        "gpu-1   -     580.95.05   13.0   CUDA 13, CUDA 12   usable",
        "gpu-2   -     -           -      -                  Unschedulable",
        "",
        f"gpu-2: {words}",
    ]
