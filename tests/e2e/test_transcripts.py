"""A resource that is applied with kubectl gives a right transcript, on the GPU node and on the CPU."""

import json
import os
import subprocess
import sys
import wave
from pathlib import Path
from typing import Any

import pytest

from tests.support.job_namespace import PATIENCE, JobNamespace, condition, spoken
from tests.support.result_comparison import assert_same
from tests.support.stack.kube import get, kubectl
from tests.support.testmodel import model_path, model_sha256
from tests.support.transcript_score import word_error_rate
from tests.support.whisper_command import kept_within

FORMATS = ["json", "txt", "srt", "vtt", "tsv"]


@pytest.fixture(scope="module", autouse=True)
def applied(namespace: JobNamespace) -> None:
    """Apply two jobs at once: English with a GPU preferred, and Portuguese on the CPU with a preview."""
    namespace.apply("english", formats=FORMATS, device={"policy": "PreferGPU"})
    namespace.apply("portuguese", "portuguese.wav", formats=FORMATS, preview={"characters": 40})


def by_the_whisper_command(name: str, folder: Path) -> Path:
    """Run openai-whisper's own command on the same file and model, and return its output folder."""
    command = [str(Path(sys.executable).with_name("whisper")), str(spoken(name)[0]), "--model", str(model_path())]
    options = ["--device", "cpu", "--fp16", "False", "--output_format", "all", "--output_dir", str(folder)]
    done = subprocess.run(
        [*command, *options], capture_output=True, text=True, check=False, env={**os.environ, "PYTHONWARNINGS": ""}
    )
    assert "Skipping" not in done.stdout, done.stdout
    assert done.returncode == 0, done.stderr
    return folder


@pytest.mark.parametrize("name", ["english", "portuguese"])
def test_the_transcript_is_right(namespace: JobNamespace, name: str) -> None:
    status = namespace.ended(name)
    assert status["phase"] == "Complete", status
    text = namespace.text(f"{namespace.name}/{name}/{name}.txt")
    assert word_error_rate(spoken(name)[1], text) <= 0.05
    assert status["language"] == {"english": "en", "portuguese": "pt"}[name]


@pytest.mark.parametrize("name", ["english", "portuguese"])
def test_all_five_formats_equal_what_the_whisper_command_writes(
    namespace: JobNamespace, name: str, tmp_path: Path
) -> None:
    namespace.ended(name)
    expected = by_the_whisper_command(name, tmp_path)
    files = [f"{name}.{extension}" for extension in FORMATS]
    ours = {file: namespace.text(f"{namespace.name}/{name}/{file}").encode() for file in files}
    with wave.open(str(spoken(name)[0])) as audio:
        seconds = audio.getnframes() / audio.getframerate()
    theirs = kept_within({file: (expected / file).read_bytes() for file in files}, {name: seconds})
    assert_same(ours, theirs)


def test_the_pod_ran_on_the_tainted_gpu_node_and_requested_a_gpu(namespace: JobNamespace) -> None:
    namespace.ended("english")
    (pod,) = namespace.pods("english")
    node = get("node", pod["spec"]["nodeName"], "default")
    assert node is not None
    assert {"key": "nvidia.com/gpu", "effect": "NoSchedule"}.items() <= node["spec"]["taints"][0].items()
    assert pod["spec"]["containers"][0]["resources"]["limits"]["nvidia.com/gpu"] == "1"


def test_the_worker_has_no_token_and_a_read_only_root(namespace: JobNamespace) -> None:
    namespace.ended("english")
    (pod,) = namespace.pods("english")
    assert pod["spec"]["automountServiceAccountToken"] is False
    assert not [v for v in pod["spec"].get("volumes", ()) if "projected" in v]
    assert pod["spec"]["containers"][0]["securityContext"]["readOnlyRootFilesystem"] is True


def test_a_gpu_that_cannot_be_used_is_said_aloud_when_the_cpu_goes_on(namespace: JobNamespace) -> None:
    status = namespace.ended("english")
    degraded = condition(status, "Degraded")
    assert (degraded["status"], degraded["reason"]) == ("True", "CPUFallback")
    assert "GPUDriverMissing" in degraded["message"]
    assert status["device"]["kind"] == "cpu"
    assert condition(namespace.ended("portuguese"), "Degraded").get("status") != "True"


def test_the_status_holds_the_whole_result(namespace: JobNamespace) -> None:
    status = namespace.ended("english")
    assert status["model"]["digest"] == f"sha256:{model_sha256()}"
    assert abs(status["audioSeconds"] - 75) < 15
    assert status["rtfx"] == pytest.approx(status["audioSeconds"] / status["wallSeconds"], abs=0.1)
    assert status["languageProbability"] > 0.5
    assert status["words"] > 50
    assert status["segments"] > 5
    assert status["attempt"] == 1
    assert status["queuedTime"] <= status["startTime"] <= status["completionTime"]
    assert status["device"]["torch"]
    assert all(c["observedGeneration"] == 1 for c in status["conditions"])
    (job,) = namespace.jobs("english")
    assert status["jobRef"]["name"] == job["metadata"]["name"]


def test_every_result_of_the_status_is_in_s3_with_its_size_and_etag(namespace: JobNamespace) -> None:
    status = namespace.ended("english")
    assert [r["format"] for r in status["results"]] == FORMATS
    for result in status["results"]:
        head = namespace.client.head_object(Bucket="transcripts", Key=result["key"])
        assert (head["ContentLength"], head["ETag"].strip(chr(34))) == (result["size"], result["etag"])


def test_a_preview_is_there_only_where_it_was_asked_for(namespace: JobNamespace) -> None:
    text = namespace.text(f"{namespace.name}/portuguese/portuguese.txt").replace("\n", " ")
    preview = namespace.ended("portuguese")["preview"]
    assert len(preview) <= 40
    assert text.startswith(preview[:30].strip())
    assert "preview" not in namespace.ended("english")


def test_kubectl_wait_returns_for_complete(namespace: JobNamespace) -> None:
    kubectl("wait", "--for=condition=Complete", "tj/english", "-n", namespace.name, f"--timeout={PATIENCE}s")


def test_kubectl_get_prints_a_line_that_says_it_all(namespace: JobNamespace) -> None:
    namespace.ended("english")
    header, *lines = kubectl("get", "tj", "-n", namespace.name).splitlines()
    columns = "NAME PHASE FILES FAILED PROGRESS MODEL DEVICE LANGUAGE AUDIO DURATION RTFX ETA AGE"
    assert header.split() == columns.split()
    (english,) = [line.split() for line in lines if line.startswith("english")]
    assert english[1:5] == ["Complete", "testmodel.pt", "cpu", "en"]


def test_a_second_job_for_the_same_result_finds_it_and_transcribes_nothing(namespace: JobNamespace) -> None:
    namespace.ended("portuguese")
    spec: dict[str, Any] = namespace.spec("portuguese", "portuguese.wav", formats=FORMATS)
    kubectl("create", "-f", "-", text=json.dumps(namespace.manifest("again", spec)))
    status = namespace.ended("again")
    assert status["phase"] == "Complete", status
    assert status["reused"] is True
    assert [r["etag"] for r in status["results"]] == [r["etag"] for r in namespace.ended("portuguese")["results"]]
