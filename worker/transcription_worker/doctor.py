"""Implement the command doctor, which prints the devices, what the build supports, a diagnosis and advice."""

import contextlib
import json
import sys
from pathlib import Path
from typing import Any

from transcription_api import exit_codes
from transcription_api.report import TERMINATION_MESSAGE_LIMIT, cut
from transcription_api.spec import DevicePolicy

from transcription_worker.device import cpu_name, observe_device
from transcription_worker.gpu_diagnosis import DeviceFacts, Diagnosis, diagnose, shown, usable_images
from transcription_worker.image_variants import needed_driver
from transcription_worker.paths import container_paths

# What a termination message says in any case, and characters of a text in it.
ESSENTIAL = ("usable", "reason", "message", "advice", "driver", "driverCUDA", "usableImages")
MESSAGE_LIMIT = 600


def run_doctor(policy: DevicePolicy, as_json: bool) -> int:
    """Print the report; return DEVICE_UNUSABLE if the policy needs a GPU and none is usable, else OK."""
    facts = observe_device()
    diagnosis = diagnose(facts)
    report = doctor_report(facts, diagnosis, policy)
    sys.stdout.write((json.dumps(report, indent=2, allow_nan=False) if as_json else render_report(report)) + "\n")
    leave_message(report, container_paths().termination_log)
    unusable = policy is DevicePolicy.REQUIRE_GPU and diagnosis.reason is not None
    return exit_codes.DEVICE_UNUSABLE if unusable else exit_codes.OK


def leave_message(report: dict[str, Any], path: Path) -> None:
    """Write the report as the container's termination message, where there is a kubelet that has made the file."""
    if not path.exists():
        return
    shorter = {name: cut(value, MESSAGE_LIMIT) if isinstance(value, str) else value for name, value in report.items()}
    for candidate in (shorter, {name: shorter[name] for name in ESSENTIAL}):
        encoded = json.dumps(candidate, separators=(",", ":"), ensure_ascii=False, allow_nan=False).encode()
        if len(encoded) <= TERMINATION_MESSAGE_LIMIT:
            with contextlib.suppress(OSError):  # what was printed is in the log
                path.write_bytes(encoded)
            return


def doctor_report(facts: DeviceFacts, diagnosis: Diagnosis, policy: DevicePolicy) -> dict[str, Any]:
    """Return the report as JSON's types."""
    reason = diagnosis.reason
    return {
        "policy": policy.value,
        "usable": reason is None,
        "reason": reason.name if reason else None,
        "message": diagnosis.message,
        "advice": reason.advice if reason else None,
        "device": _device(policy, reason is None),
        "driver": facts.driver,
        "driverCUDA": facts.driver_cuda,
        "driverNeeded": needed_driver(facts.cuda) if facts.cuda else None,
        "libcuda": facts.libcuda_error or "loaded",
        "deviceNodes": list(facts.nodes),
        "masks": dict(facts.masks),
        "torch": facts.torch,
        "cuda": facts.cuda,
        "builtFor": list(facts.built_for),
        "usableImages": list(usable_images(facts)),
        "gpus": [
            {"name": gpu.name, "computeCapability": shown(gpu.capability), "memoryMiB": gpu.memory >> 20}
            for gpu in facts.gpus or facts.present
        ],
        "eccErrors": facts.ecc_errors,
        "lostGPUs": facts.lost_gpus,
        "cpu": cpu_name(),
    }


def _device(policy: DevicePolicy, usable: bool) -> str | None:
    """Return the device that a transcription with this policy would run on here, None if it would be refused."""
    if policy is DevicePolicy.CPU or (policy is DevicePolicy.PREFER_GPU and not usable):
        return "cpu"
    return "cuda" if usable else None


def render_report(report: dict[str, Any]) -> str:
    """Return the report as lines of text."""
    gpus = [f"{gpu['name']}, {gpu['computeCapability']}, {gpu['memoryMiB']} MiB" for gpu in report["gpus"]]
    known = f", which knows CUDA {report['driverCUDA']}" if report["driverCUDA"] else ""
    needed = f" (needed: {report['driverNeeded']} or newer)" if report["driverNeeded"] else ""
    lines = [
        ("policy", report["policy"]),
        ("GPU", "usable" if report["usable"] else report["reason"]),
        ("because", report["message"]),
        ("advice", report["advice"]),
        ("runs on", report["device"] or "nothing: the transcription would be refused"),
        ("driver", f"{report['driver'] or 'none found'}{known}{needed}"),
        ("libcuda", report["libcuda"]),
        ("nodes", ", ".join(report["deviceNodes"]) or "none"),
        ("masks", ", ".join(f"{name}={value!r}" for name, value in report["masks"].items()) or "none"),
        ("torch", f"{report['torch']}, CUDA {report['cuda']}"),
        ("built for", " ".join(report["builtFor"])),
        ("images", ", ".join(f"CUDA {version}" for version in report["usableImages"])),
        ("devices", "; ".join(gpus) or "none"),
        ("ECC", f"{report['eccErrors']} uncorrectable errors" if report["eccErrors"] else None),
        ("lost", f"{report['lostGPUs']} GPUs answer no more" if report["lostGPUs"] else None),
        ("CPU", report["cpu"]),
    ]
    return "\n".join(f"{name + ':':<11}{value}" for name, value in lines if value)
