"""The doctor reports on a machine without a GPU, with the right exit code."""

import json

import pytest
from transcription_api import exit_codes
from transcription_api.spec import DevicePolicy
from transcription_worker.device import kernel_error
from transcription_worker.doctor import run_doctor

# The oldest driver by the major version of the CUDA that torch is built with.
DRIVERS = {"12": "525.60.13", "13": "580.65.06"}


def test_without_a_gpu_the_doctor_names_the_reason_and_the_advice(capsys: pytest.CaptureFixture[str]) -> None:
    assert run_doctor(DevicePolicy.REQUIRE_GPU, as_json=True) == exit_codes.DEVICE_UNUSABLE
    facts = json.loads(capsys.readouterr().out)
    assert (facts["usable"], facts["reason"], facts["device"]) == (False, "GPUDriverMissing", None)
    assert facts["driverNeeded"] == DRIVERS[facts["cuda"].partition(".")[0]]
    assert "sm_90" in facts["builtFor"]
    assert facts["advice"]


@pytest.mark.parametrize("policy", [DevicePolicy.PREFER_GPU, DevicePolicy.CPU])
def test_a_policy_that_the_cpu_meets_is_met(policy: DevicePolicy, capsys: pytest.CaptureFixture[str]) -> None:
    assert run_doctor(policy, as_json=False) == exit_codes.OK
    assert "runs on:   cpu" in capsys.readouterr().out


def test_the_small_kernel_is_right_where_it_runs_and_told_where_it_does_not() -> None:
    assert kernel_error("cpu") is None
    assert "driver" in (kernel_error("cuda:0") or "")
