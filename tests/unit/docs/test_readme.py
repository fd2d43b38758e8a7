"""The commands and manifests that the README shows are those that run."""

import re
import subprocess

import pytest
import yaml
from transcription_api.spec import parse_spec

from tests.support.repository import ROOT

README = (ROOT / "README.md").read_text()
BLOCKS = re.findall(r"^ *```(\w+)\n(.*?)^ *```", README, re.M | re.S)


def test_ci_runs_the_readmes_test_command() -> None:
    assert "make test " in README
    assert re.search(r"^exec make test$", (ROOT / ".ci/run").read_text(), re.M)


@pytest.mark.parametrize("target", sorted(set(re.findall(r"\bmake ([a-z][a-z0-9-]+)", README))))
def test_every_make_target_of_the_readme_exists(target: str) -> None:
    subprocess.run(["make", "--dry-run", target], cwd=ROOT, check=True, capture_output=True)


def test_the_first_manifest_is_over_a_prefix() -> None:
    (block,) = [text for language, text in BLOCKS if language == "yaml"]
    manifest = yaml.safe_load(block)
    spec, example = parse_spec(manifest["spec"]), yaml.safe_load((ROOT / "examples/prefix.yaml").read_text())
    assert spec.has_phases
    assert manifest["metadata"] == example["metadata"]
    assert spec.source.s3.prefix == parse_spec(example["spec"]).source.s3.prefix


def test_the_smallest_example_takes_only_defaults() -> None:
    manifest = yaml.safe_load((ROOT / "examples/smallest.yaml").read_text())
    assert set(manifest["spec"]) == {"source", "destination"}
    assert parse_spec(manifest["spec"]).source.s3.key == "interviews/01.wav"
