"""A Docker engine is started after it was killed, and on a machine that lacks capabilities."""

import json
import socket
import subprocess
import sys
from pathlib import Path

import pytest

from hack.cluster import engine, runc_held_caps


@pytest.fixture
def proc(tmp_path: Path) -> Path:
    """Return a /proc in which process 10 is dockerd, 11 a zombie dockerd and 12 a shell."""
    for pid, stat in ((10, "(dockerd) S 1"), (11, "(dockerd) Z 1"), (12, "(sh (x)) S 1")):
        (tmp_path / "proc" / str(pid)).mkdir(parents=True)
        (tmp_path / "proc" / str(pid) / "stat").write_text(f"{pid} {stat} 10 10\n")
    return tmp_path / "proc"


@pytest.mark.parametrize(
    ("text", "found"), [("10\n", 10), ("11", None), ("12", None), ("13", None), ("", None), ("x", None)]
)
def test_a_pid_file_counts_only_while_it_names_a_running_dockerd(
    proc: Path, tmp_path: Path, text: str, found: int | None
) -> None:
    (tmp_path / "docker.pid").write_text(text)
    assert engine.alive(tmp_path / "docker.pid", "dockerd", proc) == found


def test_an_absent_pid_file_names_nobody(proc: Path, tmp_path: Path) -> None:
    assert engine.alive(tmp_path / "docker.pid", "dockerd", proc) is None


def test_pid_files_of_the_dead_are_removed_and_those_of_the_living_stay(proc: Path, tmp_path: Path) -> None:
    dead, living = tmp_path / "dead.pid", tmp_path / "living.pid"
    dead.write_text("12")
    living.write_text("10")
    removed = engine.remove_stale(
        ((dead, "dockerd"), (living, "dockerd"), (tmp_path / "none", "x")), tmp_path / "sock", proc
    )
    assert removed == [dead]
    assert living.exists()


def test_a_socket_is_removed_only_when_nobody_listens(
    tmp_path: Path, proc: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)  # a socket's path may have 107 characters at most
    path = Path("s")
    with socket.socket(socket.AF_UNIX) as server:
        server.bind(str(path))
        server.listen()
        assert engine.remove_stale((), path, proc) == []
    assert engine.remove_stale((), path, proc) == [path]
    assert not path.exists()


@pytest.mark.parametrize(("mask", "limited"), [("000001ffffffffff", False), ("000001fffeffffff", True)])
def test_a_machine_without_a_capability_is_noticed(tmp_path: Path, mask: str, limited: bool) -> None:
    (tmp_path / "self").mkdir()
    (tmp_path / "self" / "status").write_text(f"Name:\tx\nCapBnd:\t{mask}\n")
    (tmp_path / "sys" / "kernel").mkdir(parents=True)
    (tmp_path / "sys" / "kernel" / "cap_last_cap").write_text("40\n")
    assert engine.missing_capabilities(tmp_path) is limited


def test_a_machine_with_all_capabilities_uses_docker_s_own_runtime() -> None:
    assert engine.runtime_flags(limited=False) == []


def test_the_runtime_of_a_limited_machine_is_a_program_that_runs(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("TRANSCRIPTION_CACHE", str(tmp_path))
    flags = engine.runtime_flags(limited=True)
    wrapper = flags[1].removeprefix("held=")
    assert flags == ["--add-runtime", f"held={wrapper}", "--default-runtime", "held"]
    assert Path(wrapper).read_text().splitlines()[0].startswith("#!")
    subprocess.run([sys.executable, "-m", "py_compile", wrapper], check=True)


def test_runc_is_asked_only_for_what_is_held() -> None:
    task = {
        "capabilities": {"bounding": ["CAP_CHOWN", "CAP_SYS_RESOURCE"], "ambient": ["CAP_SYS_RESOURCE"]},
        "oomScoreAdj": -998,
    }
    runc_held_caps.limit(task, {"CAP_CHOWN"})
    assert task == {"capabilities": {"bounding": ["CAP_CHOWN"], "ambient": []}, "oomScoreAdj": 0}


def test_a_worse_oom_score_stays() -> None:
    task = {"oomScoreAdj": 1000}
    runc_held_caps.limit(task, set())
    assert task == {"oomScoreAdj": 1000}


def test_held_capabilities_are_known_by_name() -> None:
    assert len(runc_held_caps.NAMES) == 41  # CAP_CHECKPOINT_RESTORE is 40
    assert runc_held_caps.NAMES[24] == "SYS_RESOURCE"
    assert runc_held_caps.held_capabilities() <= {"CAP_" + name for name in runc_held_caps.NAMES}


@pytest.mark.parametrize(
    ("arguments", "path"),
    [
        (["--root", "/r", "create", "--bundle", "/b", "id"], "/b/config.json"),
        (["run", "id"], "config.json"),
        (["exec", "--process", "/p.json", "id"], "/p.json"),
        (["exec", "id", "ls"], None),
        (["delete", "id"], None),
    ],
)
def test_what_runc_is_asked_to_run_is_found(arguments: list[str], path: str | None) -> None:
    found = runc_held_caps.request(arguments)
    assert (None if found is None else str(found)) == path


def test_the_wrapper_rewrites_the_bundle_and_becomes_runc(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "config.json").write_text(
        json.dumps({"process": {"oomScoreAdj": -1, "capabilities": {"bounding": ["CAP_NO_SUCH"]}}})
    )
    became: list[list[str]] = []
    monkeypatch.setattr("os.execv", lambda _, arguments: became.append(arguments))
    runc_held_caps.main(["create", "--bundle", str(tmp_path), "id"])
    assert json.loads((tmp_path / "config.json").read_text()) == {
        "process": {"oomScoreAdj": 0, "capabilities": {"bounding": []}}
    }
    assert became == [["runc", "create", "--bundle", str(tmp_path), "id"]]
