"""examples/pipeline.sh ends as soon as its resource does, however that ends, with the exit code that says how."""

import json
import os
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import pytest
from transcription_api.codec import to_json
from transcription_api.status import Condition, Failure, Phase, ResultObject, Status

from tests.support.binaries import binaries
from tests.support.kubectl import Kubectl
from tests.support.repository import ROOT
from tests.support.simulated_cluster import until

TIME = "2026-11-24T04:00:00Z"
COMPLETE = Status(
    phase=Phase.COMPLETE,
    conditions=(Condition("Complete", "True", "ResultsVerified", "m", TIME, 1),),
    results=(ResultObject("txt", "out/it's 1.txt", 5, '"e"'), ResultObject("json", "out/it's 1.json", 5, '"e"')),
    report_key="out/it's 1.report.json",
)
FAILED = Status(
    phase=Phase.FAILED,
    conditions=(Condition("Failed", "True", "NoSuchKey", "m", TIME, 1),),
    failure=Failure("NoSuchKey", "no such key", "Check the key.", 65),
)
# Watches of the script: for Complete, for Failed, and for the deletion.
WATCHES = 3


@contextmanager
def pipeline(kubectl: Kubectl, **variables: str) -> Iterator["subprocess.Popen[str]"]:
    """Run the script over one object for the block, in an environment with the variables."""
    given = {"BUCKET": "audio", "KEY": "it's 1.wav", "DESTINATION": "transcripts", "TIMEOUT": "60"} | variables
    path = f"{binaries('kubectl')}:{os.environ['PATH']}"
    environment = os.environ | {"KUBECONFIG": str(kubectl.kubeconfig), "PATH": path} | given
    pipe = subprocess.PIPE
    with subprocess.Popen(
        [ROOT / "examples/pipeline.sh"], env=environment, stdout=pipe, stderr=pipe, text=True
    ) as script:
        yield script


def waiting_for(kubectl: Kubectl, script: "subprocess.Popen[str]") -> str:
    """Return the name of the script's resource, once it watches it."""
    assert script.stderr is not None
    name = script.stderr.readline().strip()
    until(lambda: watches(kubectl) >= WATCHES, "the script to watch its resource", 30)
    return name


def watches(kubectl: Kubectl) -> float:
    """Return how many watches of TranscriptionJobs the apiserver serves."""
    lines = kubectl("get", "--raw", "/metrics").stdout.splitlines()
    counts = [line for line in lines if line.startswith("apiserver_longrunning_requests{") and "WATCH" in line]
    return sum(float(line.rpartition(" ")[2]) for line in counts if 'resource="transcriptionjobs"' in line)


def end(kubectl: Kubectl, name: str, status: Status) -> None:
    patch: dict[str, Any] = {"status": to_json(status)}
    kubectl("patch", name, "--subresource=status", "--type=merge", "-p", json.dumps(patch))


def test_a_resource_that_is_deleted_as_soon_as_it_is_complete_has_succeeded(kubectl: Kubectl) -> None:
    """Its ttlSecondsAfterFinished may be 0."""
    with pipeline(kubectl) as script:
        name = waiting_for(kubectl, script)
        end(kubectl, name, COMPLETE)
        kubectl("delete", name)
        assert script.communicate(timeout=10)[0].splitlines() == ["out/it's 1.txt", "out/it's 1.json"]
    assert script.returncode == 0


def test_a_resource_that_is_deleted_before_its_end_ends_the_pipeline(kubectl: Kubectl) -> None:
    with pipeline(kubectl) as script:
        name = waiting_for(kubectl, script)
        kubectl("delete", name)
        assert "was deleted before its end" in script.communicate(timeout=10)[1]
    assert script.returncode == 3


@pytest.mark.parametrize("deleted", [False, True])
def test_a_resource_that_fails_ends_the_pipeline_with_the_reason(kubectl: Kubectl, deleted: bool) -> None:
    with pipeline(kubectl) as script:
        name = waiting_for(kubectl, script)
        end(kubectl, name, FAILED)
        if deleted:
            kubectl("delete", name)
        assert "NoSuchKey: no such key Check the key." in script.communicate(timeout=10)[1]
    assert script.returncode == 1


@pytest.mark.parametrize(("name", "value"), [("TIMEOUT", "1h"), ("DESTINATION", ""), ("BUCKET", "")])
def test_a_variable_that_cannot_be_used_is_named_before_anything_is_created(
    kubectl: Kubectl, name: str, value: str
) -> None:
    with pipeline(kubectl, **{name: value}) as script:
        told, refused = script.communicate(timeout=10)
    assert script.returncode not in (0, 2, 3)
    assert f"{name}: " in refused
    assert "transcriptionjob" not in told + refused
