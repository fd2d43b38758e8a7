"""The device report for people and programs: what is there, what the build supports, the verdict and what to do."""

import json
import sys
from typing import Any

from transcription_api import exit_codes
from transcription_api.spec import DevicePolicy

from transcription_worker.device import cpu_name, observe_device
from transcription_worker.gpu_diagnosis import Observed, Verdict, decide_verdict, needed_driver, shown


def run_doctor(policy: DevicePolicy, as_json: bool) -> int:
    """Prints the report. DEVICE_UNUSABLE where the policy needs a GPU and none is usable, else OK."""
    seen = observe_device()
    verdict = decide_verdict(seen)
    facts = device_facts(seen, verdict, policy)
    sys.stdout.write((json.dumps(facts, indent=2) if as_json else render_facts(facts)) + "\n")
    refused = policy is DevicePolicy.REQUIRE_GPU and verdict.reason is not None
    return exit_codes.DEVICE_UNUSABLE if refused else exit_codes.OK


def device_facts(seen: Observed, verdict: Verdict, policy: DevicePolicy) -> dict[str, Any]:
    """The report as data."""
    reason = verdict.reason
    return {
        "policy": policy.value,
        "usable": reason is None,
        "reason": reason.name if reason else None,
        "message": verdict.message,
        "advice": reason.advice if reason else None,
        "device": _device(policy, reason is None),
        "driver": seen.driver,
        "driverNeeded": needed_driver(seen.cuda) if seen.cuda else None,
        "libcuda": seen.libcuda_error or "loaded",
        "deviceNodes": list(seen.nodes),
        "masks": dict(seen.masks),
        "torch": seen.torch,
        "cuda": seen.cuda,
        "builtFor": list(seen.built_for),
        "gpus": [
            {"name": gpu.name, "computeCapability": shown(gpu.capability), "memoryMiB": gpu.memory >> 20}
            for gpu in seen.gpus
        ],
        "cpu": cpu_name(),
    }


def _device(policy: DevicePolicy, usable: bool) -> str | None:
    """What a transcription with this policy would run on here; None: it would be refused."""
    if policy is DevicePolicy.CPU or (policy is DevicePolicy.PREFER_GPU and not usable):
        return "cpu"
    return "cuda" if usable else None


def render_facts(facts: dict[str, Any]) -> str:
    """The report as lines."""
    gpus = [f"{gpu['name']}, {gpu['computeCapability']}, {gpu['memoryMiB']} MiB" for gpu in facts["gpus"]]
    lines = [
        ("policy", facts["policy"]),
        ("GPU", "usable" if facts["usable"] else facts["reason"]),
        ("because", facts["message"]),
        ("advice", facts["advice"]),
        ("runs on", facts["device"] or "nothing: the transcription would be refused"),
        ("driver", f"{facts['driver'] or 'none found'} (needed: {facts['driverNeeded']} or newer)"),
        ("libcuda", facts["libcuda"]),
        ("nodes", ", ".join(facts["deviceNodes"]) or "none"),
        ("masks", ", ".join(f"{name}={value!r}" for name, value in facts["masks"].items()) or "none"),
        ("torch", f"{facts['torch']}, CUDA {facts['cuda']}"),
        ("built for", " ".join(facts["builtFor"])),
        ("devices", "; ".join(gpus) or "none"),
        ("CPU", facts["cpu"]),
    ]
    return "\n".join(f"{name + ':':<11}{value}" for name, value in lines if value)
