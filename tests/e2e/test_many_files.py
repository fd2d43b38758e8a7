"""One resource over a prefix: planned, transcribed by pods that die, and accounted for, on a cluster."""

import csv
import io
import json
from typing import Any

import pytest

from tests.support.job_namespace import PATIENCE, JobNamespace, condition, upload_to_each
from tests.support.many_pods import over, pods_that_transcribe, stored_results
from tests.support.speech import speak
from tests.support.stack.kube import kubectl, until
from tests.support.stack.operator_sample import OperatorSamples

COUNT = 300
SECONDS = 2.5
STATUS_BYTES = 8 * 1024
# Requests to the API server that change something, for the whole resource.
WRITES = 200


@pytest.fixture(scope="module")
def recordings(namespace: JobNamespace) -> str:
    """Return a prefix of the source with COUNT recordings, a text that is called audio, and a note."""
    prefix = f"{namespace.name}/calls/"
    keys = (f"{prefix}{number % 7}/{number:03}.wav" for number in range(COUNT))
    upload_to_each(namespace.client, speak("en", 8_100_101, SECONDS)[0], keys)
    namespace.client.put_object(Bucket="audio", Key=f"{prefix}broken.wav", Body=b"This is a text.\n" * 40)
    namespace.client.put_object(Bucket="audio", Key=f"{prefix}notes.txt", Body=b"no media")
    return prefix


def account(namespace: JobNamespace, status: dict[str, Any], name: str = "report.json") -> str:
    """Return an object that lies beside the account."""
    return namespace.text(status["reportKey"].replace("report.json", name))


def test_a_prefix_is_complete_although_its_pods_are_killed(namespace: JobNamespace, recordings: str) -> None:
    # Four shards for two pods.
    shard = {"minutes": 1, "speed": COUNT * 30 / 60 / 4}
    spec = over(namespace, "calls", recordings, shard=shard, failurePolicy={"maxFailedFiles": "1%"})
    samples = OperatorSamples()
    samples.take()
    kubectl("apply", "-f", "-", text=json.dumps(namespace.manifest("calls", spec)))
    until(lambda: pods_that_transcribe(namespace, "calls"), PATIENCE, "a pod that transcribes")
    kubectl(
        "delete",
        "pod",
        "-n",
        namespace.name,
        pods_that_transcribe(namespace, "calls")[0],
        "--grace-period=0",
        "--force",
    )
    status = namespace.ended("calls")

    assert status["phase"] == "Complete", status
    assert len(json.dumps(status)) < STATUS_BYTES
    samples.take()
    assert 0 < samples.writes <= WRITES
    files = status["files"]
    assert (files["total"], files["failed"], files["skipped"]) == (COUNT + 1, 1, 1)
    assert files["done"] + files.get("reused", 0) == COUNT
    assert files["failures"] == [{"key": f"{recordings}broken.wav", "reason": "UnsupportedMedia"}]
    assert status["plan"]["shards"] == 4
    for kind in ("Planned", "Collected", "Complete"):
        assert condition(status, kind)["status"] == "True"
    rows = list(csv.DictReader(io.StringIO(account(namespace, status, "report.csv"))))
    assert len({row["key"] for row in rows}) == len(rows) == COUNT + 1
    assert sum(key.endswith(".txt") for key in stored_results(namespace, "calls")) == COUNT
    assert [json.loads(line)["key"] for line in account(namespace, status, "failed.jsonl").splitlines()] == [
        f"{recordings}broken.wav"
    ]


def test_a_second_run_finds_what_is_done_and_asks_for_no_gpu(namespace: JobNamespace, recordings: str) -> None:
    spec = over(namespace, "calls", recordings, failurePolicy={"maxFailedFiles": 1})
    kubectl("apply", "-f", "-", text=json.dumps(namespace.manifest("calls-again", spec)))
    status = namespace.ended("calls-again")
    assert status["phase"] == "Complete", status
    assert status["files"]["reused"] == COUNT


def test_the_pipelines_script_says_how_many_files_failed(namespace: JobNamespace, recordings: str) -> None:
    done = namespace.run_pipeline(over(namespace, "calls", recordings))
    assert done.returncode == 1
    assert f"1 of {COUNT + 1} files failed" in done.stderr
    assert "PartiallyFailed" in done.stderr


def test_a_dry_run_tells_what_there_is_to_do(namespace: JobNamespace, recordings: str) -> None:
    spec = over(namespace, "estimate", recordings, dryRun=True, costPerGPUHour=2.5)
    kubectl("apply", "-f", "-", text=json.dumps(namespace.manifest("estimate", spec)))
    status = namespace.ended("estimate")
    assert condition(status, "Complete")["reason"] == "DryRun"
    assert status["plan"]["toTranscribe"] == COUNT + 1
    assert {item["metadata"]["labels"]["transcription.dev/phase"] for item in namespace.jobs("estimate")} == {"plan"}
