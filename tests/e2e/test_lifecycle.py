"""Deletion, a pipeline's script, upgrade and uninstall."""

import json
import os
import subprocess
from typing import Any

from tests.support.cluster_bench import PATIENCE, Bench
from tests.support.stack.images import ROOT
from tests.support.stack.kube import get, kubectl, list_items, run, until
from tests.support.stack.release import NAMESPACE, RELEASE, ensure_release


def test_deleting_the_resource_deletes_its_job_and_pods(bench: Bench) -> None:
    bench.apply("deleted", "long.wav")
    bench.reaches("deleted", "Running")
    kubectl("delete", "tj", "deleted", "-n", bench.namespace)
    until(lambda: not list_items("jobs", bench.namespace), PATIENCE, "the Job to go")
    until(lambda: not list_items("pods", bench.namespace), PATIENCE, "the pods to go")


def test_a_suspended_job_stops_and_goes_on_when_resumed(bench: Bench) -> None:
    bench.apply("paused")
    bench.reaches("paused", "Running")
    kubectl("patch", "tj", "paused", "-n", bench.namespace, "--type=merge", "-p", '{"spec": {"suspend": true}}')
    bench.reaches("paused", "Suspended")
    until(lambda: not bench.pods("paused"), PATIENCE, "the pods to go")
    kubectl("patch", "tj", "paused", "-n", bench.namespace, "--type=merge", "-p", '{"spec": {"suspend": false}}')
    assert bench.ended("paused")["phase"] == "Complete"


def pipeline(bench: Bench, key: str) -> subprocess.CompletedProcess[str]:
    """examples/pipeline.sh as a CI job would call it."""
    environment = {
        **os.environ,
        "NAMESPACE": bench.namespace,
        "SPEC": json.dumps(bench.spec("pipeline", key)),
    }
    return subprocess.run(
        [str(ROOT / "examples/pipeline.sh")], env=environment, capture_output=True, text=True, check=False
    )


def test_the_pipelines_script_succeeds_with_the_transcript(bench: Bench) -> None:
    done = pipeline(bench, "english.wav")
    assert done.returncode == 0, done.stderr
    assert bench.text(f"{bench.namespace}/pipeline/english.txt")


def test_the_pipelines_script_fails_when_the_job_fails(bench: Bench) -> None:
    done = pipeline(bench, "no/such.wav")
    assert done.returncode != 0
    assert "NoSuchKey" in done.stdout + done.stderr


def test_helm_test_finds_the_operator_ready(client: Any) -> None:
    assert "Succeeded" in run("helm", "test", RELEASE, "-n", NAMESPACE, "--timeout", "120s")


def test_helm_upgrade_and_uninstall_lose_no_resource(bench: Bench, values: dict[str, Any]) -> None:
    bench.apply("kept")
    before = bench.ended("kept")
    ensure_release({**values, "logFormat": "text"})
    assert get("transcriptionjob", "kept", bench.namespace) is not None
    run("helm", "uninstall", RELEASE, "-n", NAMESPACE, "--wait", "--timeout", "120s")
    try:
        assert bench.status("kept") == before
        bench.apply("while-away")
    finally:
        ensure_release(values)
    assert bench.ended("while-away")["phase"] == "Complete"
    assert bench.status("kept") == before
