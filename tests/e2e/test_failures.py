"""Resources that cannot work fail at once, with a reason, and leave the operator unharmed."""

from typing import Any

import pytest
from transcription_api import reasons

from tests.support.helm import NAMESPACE
from tests.support.job_namespace import ON_GPU_NODE, PATIENCE, JobNamespace, condition
from tests.support.stack import s3
from tests.support.stack.images import existing_cluster
from tests.support.stack.kube import apply, get, kubectl, until
from tests.support.stack.release import operator_pods

MISSING_MODEL = {"s3": s3.s3_object("models", key="no-such-model.pt")}
CASES: dict[str, tuple[dict[str, Any], str]] = {
    "missing-key": ({"key": "no/such.wav"}, "NoSuchKey"),
    "missing-bucket": ({"source": {"s3": s3.s3_object("no-such-bucket", key="english.wav")}}, "NoSuchBucket"),
    "wrong-secret": (
        {"source": {"s3": s3.s3_object("audio", key="english.wav") | {"credentialsSecretRef": {"name": "wrong"}}}},
        "BadCredentials",
    ),
    "no-secret": (
        {"source": {"s3": s3.s3_object("audio", key="english.wav") | {"credentialsSecretRef": {"name": "absent"}}}},
        "BadCredentials",
    ),
    "text": ({"key": "text.wav"}, "UnsupportedMedia"),
    "empty": ({"key": "empty.wav"}, "UnsupportedMedia"),
    "no-sound": ({"key": "silent-film.mp4"}, "NoAudioStream"),
    "no-model": ({"model": MISSING_MODEL}, "ModelNotFound"),
    "wrong-digest": (
        {"model": {"s3": s3.s3_object("models", key=s3.MODEL_KEY), "sha256": "0" * 64}},
        "ModelDigestMismatch",
    ),
    "no-destination": ({"destination": {"s3": s3.s3_object("no-such-bucket", prefix="x/")}}, "NoSuchBucket"),
    "gpu-required": ({"device": {"policy": "RequireGPU"}}, "GPUDriverMissing"),
}


@pytest.fixture(scope="module")
def restarts() -> dict[str, int]:
    """Return how often each operator container had restarted before the tests."""
    return operator_restarts()


@pytest.fixture(scope="module", autouse=True)
def applied(namespace: JobNamespace, restarts: dict[str, int]) -> None:
    """Apply all cases at once."""
    wrong = {"AWS_ACCESS_KEY_ID": s3.ACCESS_KEY, "AWS_SECRET_ACCESS_KEY": "canary-" + "x" * 30}
    metadata = {"name": "wrong", "namespace": namespace.name}
    apply({"apiVersion": "v1", "kind": "Secret", "metadata": metadata, "stringData": wrong})
    for name, (changes, _) in CASES.items():
        namespace.apply(name, **changes)
    namespace.apply("too-large", device={"minMemory": "80G"})


def operator_restarts() -> dict[str, int]:
    """Return the number of restarts of each operator pod's container."""
    found = {}
    for name in operator_pods():
        pod = get("pod", name, NAMESPACE)
        assert pod is not None
        found[name] = pod["status"]["containerStatuses"][0]["restartCount"]
    return found


@pytest.mark.parametrize("name", CASES)
def test_it_fails_once_with_the_right_reason_and_advice(namespace: JobNamespace, name: str) -> None:
    status = namespace.ended(name)
    reason = CASES[name][1]
    assert status["phase"] == "Failed", status
    assert status["failure"]["reason"] == reason, status["failure"]
    assert status["failure"]["message"]
    assert status["failure"]["advice"]
    assert condition(status, "Failed")["reason"] == reason
    assert status["attempt"] == 1
    assert len(namespace.pods(name)) == 1


def test_no_gpu_time_was_spent_on_what_was_never_read(namespace: JobNamespace) -> None:
    status = namespace.ended("gpu-required")
    assert "audioSeconds" not in status
    assert namespace.written("gpu-required/") == []


@pytest.mark.skipif(existing_cluster(), reason="the labels of the test cluster's node")
def test_a_pod_that_fits_no_gpu_waits_and_says_which_label_stands_against_it(namespace: JobNamespace) -> None:
    def waits() -> str | None:
        conditions = namespace.status("too-large").get("conditions", [])
        running: dict[str, Any] = next((item for item in conditions if item["type"] == "Running"), {})
        return running["message"] if running.get("reason") == "NoMatchingNode" else None

    message = until(waits, PATIENCE, "the reason NoMatchingNode")
    assert "nvidia.com/gpu.memory is 23034, expected at least 76294 MiB on transcription-operator-worker" in message


def test_a_failed_job_leaves_no_transcript_behind(namespace: JobNamespace) -> None:
    for name in CASES:
        namespace.ended(name)
    assert namespace.written() == []


def test_kubectl_wait_returns_for_failed(namespace: JobNamespace) -> None:
    kubectl("wait", "--for=condition=Failed", "tj/missing-key", "-n", namespace.name, f"--timeout={PATIENCE}s")


def test_the_commands_of_the_troubleshooting_page_show_why(namespace: JobNamespace) -> None:
    namespace.ended("missing-key")
    wide = kubectl("get", "tj", "missing-key", "-n", namespace.name, "-o", "wide")
    assert "NoSuchKey" in wide.splitlines()[1].split()
    described = kubectl("describe", "tj", "missing-key", "-n", namespace.name)
    assert reasons.BY_NAME["NoSuchKey"].advice in described
    found = get("tj", "missing-key", namespace.name)
    assert found is not None
    selector = f"transcription.dev/uid={found['metadata']['uid']}"
    assert "no/such.wav" in kubectl("logs", "-l", selector, "-n", namespace.name)


def test_credentials_are_in_no_log_no_event_and_no_status(namespace: JobNamespace) -> None:
    for name in ("wrong-secret", "missing-key"):
        namespace.ended(name)
    said = kubectl("get", "tj,events,pods,jobs", "-n", namespace.name, "-o", "json")
    for pod in [*namespace.pods("wrong-secret"), *namespace.pods("missing-key")]:
        said += kubectl("logs", pod["metadata"]["name"], "-n", namespace.name)
    for pod_name in operator_pods():
        said += kubectl("logs", pod_name, "-n", NAMESPACE)
    assert "missing-key" in said
    assert "canary-" not in said
    assert s3.SECRET_KEY not in said


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"task": "translate", "model": {"name": "turbo"}}, ["spec.task", "turbo"]),
        ({"language": "pt", "model": {"name": "base.en"}}, ["spec.language", "base.en"]),
        ({"decoding": {"temperatures": [0], "bestOf": 3}}, ["bestOf"]),
        ({"formats": ["docx"]}, ["spec.formats", "docx"]),
    ],
)
def test_what_contradicts_itself_is_refused_by_kubectl_apply(
    namespace: JobNamespace, changes: dict[str, Any], words: list[str]
) -> None:
    with pytest.raises(RuntimeError) as refused:
        namespace.apply("refused", **changes)
    for word in words:
        assert word in str(refused.value)


def test_the_operator_was_unharmed(namespace: JobNamespace, restarts: dict[str, int]) -> None:
    for name in CASES:
        namespace.ended(name)
    assert operator_restarts() == restarts


def test_s3_down_for_a_minute_is_ridden_out(namespace: JobNamespace) -> None:
    kubectl("patch", "service", "s3", "-n", "storage", "-p", '{"spec": {"selector": {"app": "nobody"}}}')
    try:
        namespace.apply("outage", device={"policy": "CPU", **ON_GPU_NODE})
        namespace.reaches("outage", "Running")
        kubectl("wait", "--for=condition=Complete", "tj/outage", "-n", namespace.name, "--timeout=60s", check=False)
        assert namespace.status("outage")["phase"] != "Failed"
    finally:
        kubectl("patch", "service", "s3", "-n", "storage", "-p", '{"spec": {"selector": {"app": "s3"}}}')
    assert namespace.ended("outage")["phase"] == "Complete"
