"""Provide the chart on the kind cluster and an S3 server in it; nothing is disturbed before, and all is mended after."""

import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.support.chaos.node_faults import mend_node
from tests.support.chaos.service_faults import mend_services
from tests.support.job_namespace import spoken, stored_inputs
from tests.support.stack.release import release_values


@pytest.fixture(scope="session")
def values() -> dict[str, Any]:
    """Return the release's Helm values, with images built from the checkout."""
    mend_services()
    mend_node()
    return release_values()


def five_minutes(folder: Path) -> Path:
    """Return the first 300 s of the long recording: long enough to be disturbed, short enough to be tried again often."""
    path = folder / "minutes.wav"
    cut = ["-i", str(spoken("long")[0]), "-t", "300", "-c", "copy", str(path)]
    subprocess.run(["ffmpeg", "-v", "error", *cut], check=True)
    return path


@pytest.fixture(scope="session")
def stored(values: dict[str, Any], tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """Ensure the release and the S3 server with audio and model; afterwards undo what a fault may have left."""
    with stored_inputs(values) as client:
        client.upload_file(str(five_minutes(tmp_path_factory.mktemp("audio"))), "audio", "minutes.wav")
    yield
    mend_services()
    mend_node()
