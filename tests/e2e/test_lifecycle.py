"""Deletion, a pipeline's script, upgrade and uninstall work on a cluster."""

from typing import Any

from tests.support.helm import NAMESPACE, RELEASE
from tests.support.job_namespace import PATIENCE, JobNamespace
from tests.support.stack.kube import get, kubectl, list_items, run, until
from tests.support.stack.release import ensure_release


def test_deleting_the_resource_deletes_its_job_and_pods(namespace: JobNamespace) -> None:
    namespace.apply("deleted", "long.wav")
    namespace.reaches("deleted", "Running")
    kubectl("delete", "tj", "deleted", "-n", namespace.name)
    until(lambda: not list_items("jobs", namespace.name), PATIENCE, "the Job to go")
    until(lambda: not list_items("pods", namespace.name), PATIENCE, "the pods to go")


def test_a_suspended_job_stops_and_goes_on_when_resumed(namespace: JobNamespace) -> None:
    namespace.apply("paused")
    namespace.reaches("paused", "Running")
    kubectl("patch", "tj", "paused", "-n", namespace.name, "--type=merge", "-p", '{"spec": {"suspend": true}}')
    namespace.reaches("paused", "Suspended")
    until(lambda: not namespace.pods("paused"), PATIENCE, "the pods to go")
    kubectl("patch", "tj", "paused", "-n", namespace.name, "--type=merge", "-p", '{"spec": {"suspend": false}}')
    assert namespace.ended("paused")["phase"] == "Complete"


def test_the_pipelines_script_succeeds_with_the_transcript(namespace: JobNamespace) -> None:
    done = namespace.run_pipeline(namespace.spec("pipeline", "english.wav"))
    assert done.returncode == 0, done.stderr
    assert namespace.text(f"{namespace.name}/pipeline/english.txt")


def test_the_pipelines_script_fails_when_the_job_fails(namespace: JobNamespace) -> None:
    done = namespace.run_pipeline(namespace.spec("pipeline", "no/such.wav"))
    assert done.returncode != 0
    assert "NoSuchKey" in done.stdout + done.stderr


def test_helm_test_finds_the_operator_ready(client: Any) -> None:
    assert "Succeeded" in run("helm", "test", RELEASE, "-n", NAMESPACE, "--timeout", "120s")


def test_helm_upgrade_and_uninstall_lose_no_resource(namespace: JobNamespace, values: dict[str, Any]) -> None:
    namespace.apply("kept")
    before = namespace.ended("kept")
    ensure_release({**values, "logFormat": "text"})
    assert get("transcriptionjob", "kept", namespace.name) is not None
    run("helm", "uninstall", RELEASE, "-n", NAMESPACE, "--wait", "--timeout", "120s")
    try:
        assert namespace.status("kept") == before
        namespace.apply("while-away")
    finally:
        ensure_release(values)
    assert namespace.ended("while-away")["phase"] == "Complete"
    assert namespace.status("kept") == before
