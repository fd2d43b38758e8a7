"""What the kubelet says of a device's health is in the status: while the worker runs, and where it has failed."""

from typing import Any

import pytest
from transcription_api import exit_codes, names, reasons
from transcription_api.report import encode_report, failure
from transcription_operator.models.devices import sick_devices
from transcription_operator.models.objects import PodView

from tests.support.decisions import NOW, condition, observe, settled
from tests.support.kubernetes_objects import FINISHED, STARTED, job, pod
from tests.support.many_files import begun, running

SICK = {"resourceID": "GPU-5ccf6a5c", "health": "Unhealthy"}
TOLD = "the kubelet calls nvidia.com/gpu GPU-5ccf6a5c unhealthy"
RUNNING = {"running": {"startedAt": STARTED}}


def on_devices(state: dict[str, Any], *devices: dict[str, Any], **status: Any) -> PodView:
    """Return a pod whose worker has these devices, as the kubelet shows them."""
    allocated = [{"name": "nvidia.com/gpu", "resources": list(devices)}]
    worker = {"name": names.CONTAINER_NAME, "state": state, "allocatedResourcesStatus": allocated}
    proxy = {"name": "proxy", "state": RUNNING, "allocatedResourcesStatus": allocated}
    return pod(containerStatuses=[proxy, worker], **status)


def failed(*devices: dict[str, Any], reason: reasons.Reason = reasons.GPU_FAULT) -> PodView:
    message = encode_report(failure(reason, "CUDA error: unspecified launch failure")).decode()
    code = reason.exit_code or exit_codes.INTERNAL
    ended = {"exitCode": code, "message": message, "startedAt": STARTED, "finishedAt": FINISHED}
    return on_devices({"terminated": ended}, *devices, phase="Failed")


def test_a_worker_that_runs_on_a_sick_device_is_shown_to_do_so() -> None:
    status, _ = settled(
        observe(job=job(active=1, ready=1), pods=(on_devices(RUNNING, SICK, {"resourceID": "b"}),)), NOW
    )
    assert condition(status, "Running").message.endswith(f"; {TOLD}")


def test_the_failure_of_a_worker_has_the_kubelets_word_behind_its_own() -> None:
    status, _ = settled(observe(job=job(failed=1, active=0), pods=(failed(SICK),)), NOW)
    assert f"GPUFault: CUDA error: unspecified launch failure; {TOLD}" in condition(status, "Running").message


def test_a_worker_that_was_killed_on_a_sick_device_says_so_too() -> None:
    killed = {"exitCode": 137, "reason": "Error", "startedAt": STARTED, "finishedAt": FINISHED}
    dead = on_devices({"terminated": killed}, SICK, phase="Failed")
    status, _ = settled(observe(job=job(ended="Failed", reason="BackoffLimitExceeded", failed=1), pods=(dead,)), NOW)
    assert status.failure is not None
    assert TOLD in status.failure.message


def test_of_many_pods_those_with_a_sick_device_are_counted() -> None:
    world = begun("transcribe")
    sick = on_devices(RUNNING, SICK)
    world.pods[world.job().name] = (running(1), sick, running(2))
    world.write_job(active=3, ready=3)
    world.settle()
    message = condition(world.parsed(), "Running").message
    assert f"1 with a sick device, as pod {sick.name}: {TOLD}" in message


@pytest.mark.parametrize("health", ["Healthy", "Unknown", None])
def test_a_device_of_which_nothing_bad_is_known_is_not_told(health: str | None) -> None:
    assert on_devices(RUNNING, {"resourceID": "a", "health": health}).sick_devices is None


def test_a_cluster_without_the_feature_tells_nothing() -> None:
    assert pod(RUNNING).sick_devices is None
    assert sick_devices({"allocatedResourcesStatus": [{"name": "claim:gpu"}]}) is None


def test_what_a_device_plugin_wrote_is_clamped() -> None:
    long = {"resourceID": "x" * 5000, "health": "Unhealthy", "message": "a\nb\x1b[31m" + "y" * 5000}
    told = on_devices(RUNNING, *[long] * 50).sick_devices
    assert told is not None
    assert len(told) < 600
    assert told.isprintable()
    assert "and 48 more" in told


def test_a_long_failure_leaves_room_for_the_kubelets_word() -> None:
    message = encode_report(failure(reasons.GPU_FAULT, "w" * 1024)).decode()
    ended = {"exitCode": exit_codes.DEVICE_FAULT, "message": message, "startedAt": STARTED, "finishedAt": FINISHED}
    dead = on_devices({"terminated": ended}, SICK, phase="Failed")
    status, _ = settled(observe(job=job(ended="Failed", reason="BackoffLimitExceeded", failed=1), pods=(dead,)), NOW)
    assert status.failure is not None
    assert TOLD in status.failure.message


def test_a_gpu_that_fails_its_proof_is_retried_and_its_node_named() -> None:
    """The next pod may get another card, which is why it is no permanent failure."""
    assert reasons.GPU_FAILED.exit_code == exit_codes.DEVICE_FAULT
    dead = failed(reason=reasons.GPU_FAILED)
    status, _ = settled(observe(job=job(failed=1), pods=(dead,)), NOW)
    running = condition(status, "Running")
    assert running.reason == "Retrying"
    assert "attempt 1 failed with GPUFailed: CUDA error: unspecified launch failure; on node node-1" in running.message
    status, _ = settled(observe(job=job(ended="Failed", reason="BackoffLimitExceeded", failed=4), pods=(dead,)), NOW)
    assert status.failure is not None
    assert status.failure.message.endswith("; on node node-1 (after 4 attempts)")


def test_the_node_of_a_failure_that_is_not_the_gpus_is_not_named() -> None:
    status, _ = settled(observe(job=job(failed=1), pods=(failed(reason=reasons.ENDPOINT_UNREACHABLE),)), NOW)
    assert "on node" not in condition(status, "Running").message
