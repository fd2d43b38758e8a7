"""Describe the machine that a benchmark runs on."""

import importlib.metadata
import os
import platform

from transcription_worker.device import cpu_name


def describe_machine(threads: int) -> None:
    """Print processor, versions and load."""
    versions = {name: _version(name) for name in ("torch", "openai-whisper", "faster-whisper", "ctranslate2")}
    print(f"{cpu_name()}, {os.cpu_count()} cores, {threads} threads, load {os.getloadavg()[0]:.1f} before the start")
    print(f"Python {platform.python_version()}, " + ", ".join(f"{name} {found}" for name, found in versions.items()))


def _version(package: str) -> str:
    try:
        return importlib.metadata.version(package)
    except importlib.metadata.PackageNotFoundError:
        return "absent"
