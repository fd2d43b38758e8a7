"""Find the Docker engine, or install and start one on a bare Debian machine as root."""

import os
import shlex
import shutil
import signal
import socket
import subprocess
import sys
from pathlib import Path

from hack.cluster import store
from hack.cluster.stages import StageError, output, run, say, tail, wait_for

PACKAGES = ("docker.io", "iptables")
START_SECONDS = 90  # a new data-root on a slow disk included
STOP_SECONDS = 60  # dockerd gives containers 15 s, then shuts its containerd down
SYSTEMD = Path("/run/systemd/system")
CONTAINERD_SOCKET = Path("/run/containerd/containerd.sock")

# files that name a daemon by its process id, and the program they mean; a killed machine leaves them behind,
# and the id may belong to any other process by now
FOREIGN_PID_FILES = (
    (Path("/var/run/docker.pid"), "dockerd"),
    (Path("/var/run/docker/containerd/containerd.pid"), "containerd"),
    (Path("/var/run/docker/containerd/docker-containerd.pid"), "containerd"),
)


def answers() -> bool:
    """Return whether an engine can be reached. Without a client there is none."""
    try:
        output(["docker", "info", "--format", "{{.ServerVersion}}"], timeout=20)
    except StageError:
        return False
    return True


def builder() -> str:
    """Return the docker client that can build with BuildKit.

    Docker's newer clients need the buildx plugin for it; Debian's own client beside them does not.
    Raises StageError when no client on PATH can.
    """
    clients = [Path(folder) / "docker" for folder in os.environ.get("PATH", "").split(os.pathsep)]
    for client in (str(path) for path in clients if os.access(path, os.X_OK)):
        tried = subprocess.run(
            [client, "build", "--help"],
            capture_output=True,
            text=True,
            check=False,
            env={**os.environ, "DOCKER_BUILDKIT": "1"},
        )
        if tried.returncode == 0 and "--secret" in tried.stdout:
            return client
    raise StageError("no docker client on PATH builds with BuildKit; install the buildx plugin of yours")


def ensure() -> str:
    """Ensure that an engine answers, starting one if need be, and return a description of it.

    Raises:
        StageError: there is no engine; the message says what to start.
    """
    if answers():
        return "running"
    hint = "start the Docker engine (for instance: sudo systemctl start docker), or set DOCKER_HOST to one that runs"
    if os.environ.get("DOCKER_HOST"):
        raise StageError(f"DOCKER_HOST={os.environ['DOCKER_HOST']}: no Docker engine answers there; {hint}")
    if os.geteuid() != 0 or not Path("/etc/debian_version").exists():
        raise StageError(f"no Docker engine answers; {hint}. On Debian as root this script installs and starts one")
    if shutil.which("dockerd") is None or shutil.which("iptables") is None:
        install(PACKAGES)
    if SYSTEMD.exists():
        run(["systemctl", "start", "docker"], store.log("dockerd"), timeout=START_SECONDS)
        _unit_marker().touch()
        return "started by systemd"
    start()
    return "started"


def install(packages: tuple[str, ...]) -> None:
    """Install Debian packages. Raises StageError with the end of apt's log."""
    say(f"   installing {' '.join(packages)}")
    log, env = store.log("apt"), {"DEBIAN_FRONTEND": "noninteractive"}
    run(["apt-get", "update", "-q"], log, env=env)
    run(["apt-get", "install", "-y", "-q", "--no-install-recommends", *packages], log, env=env)


def _folder() -> Path:
    path = store.cache() / "engine"
    path.mkdir(exist_ok=True)
    return path


def _pid_file() -> Path:
    return _folder() / "dockerd.pid"


def _unit_marker() -> Path:
    return _folder() / "started-by-systemd"


def start() -> None:
    """Start dockerd in a session of its own, so that it outlives this process."""
    wait_for_half_started()
    for path in remove_stale((*FOREIGN_PID_FILES, (_pid_file(), "dockerd")), CONTAINERD_SOCKET):
        say(f"   removed {path}: its daemon is gone")
    log = store.log("dockerd")
    with log.open("wb") as out:
        child = subprocess.Popen(
            ["dockerd", "--pidfile", str(_pid_file()), *runtime_flags(missing_capabilities(Path("/proc")))],
            stdin=subprocess.DEVNULL, stdout=out, stderr=out, start_new_session=True,
        )  # fmt: skip
    try:
        wait_for("the Docker engine answers", lambda: child.poll() is not None or answers(), START_SECONDS)
    except StageError as error:
        raise StageError(f"{error}; the end of {log}:\n{tail(log)}") from error
    if child.poll() is not None:
        raise StageError(f"dockerd ended with exit code {child.returncode}; the end of {log}:\n{tail(log)}")


def wait_for_half_started() -> None:
    """Wait for a dockerd that runs but does not answer yet. Raises StageError with its process if it never does."""
    running = next((pid for path, name in FOREIGN_PID_FILES if name == "dockerd" and (pid := alive(path, name))), None)
    if running or (running := alive(_pid_file(), "dockerd")):
        wait_for(f"dockerd (process {running}) answers; stop it if it hangs", answers, START_SECONDS)


def alive(pid_file: Path, program: str, proc: Path = Path("/proc")) -> int | None:
    """Return the process that the file names, if it runs and is that program."""
    try:
        pid = int(pid_file.read_text())
        head, _, rest = (proc / str(pid) / "stat").read_text().rpartition(")")
    except (OSError, ValueError):
        return None
    ended = rest.split()[0] in ("Z", "X")  # a zombie has ended; only its parent's wait is due
    return pid if head.partition("(")[2] == program and not ended else None


def remove_stale(pid_files: tuple[tuple[Path, str], ...], sock: Path, proc: Path = Path("/proc")) -> list[Path]:
    """Remove pid files whose program does not run, and a socket that nobody listens on; return what was removed.

    With any of them in place dockerd refuses to start, or waits for a containerd that is gone.
    """
    stale = [path for path, program in pid_files if path.exists() and not alive(path, program, proc)]
    if sock.exists() and not _listens(sock):
        stale.append(sock)
    for path in stale:
        path.unlink()
    return stale


def _listens(path: Path) -> bool:
    with socket.socket(socket.AF_UNIX) as probe:
        try:
            probe.connect(str(path))
        except OSError:
            return False
    return True


def missing_capabilities(proc: Path) -> bool:
    """Return whether this process may not hold some of the kernel's capabilities, so that no container may either."""
    status = (proc / "self" / "status").read_text()
    held = next(int(line.split()[1], 16) for line in status.splitlines() if line.startswith("CapBnd"))
    last = int((proc / "sys" / "kernel" / "cap_last_cap").read_text())
    return held != (1 << last + 1) - 1


def runtime_flags(limited: bool) -> list[str]:
    """Return dockerd's flags. If capabilities are missing, its runc is asked only for those that there are."""
    if not limited:
        return []
    # a copy: the engine outlives this checkout
    wrapper = _folder() / "runc-held-caps"
    source = (store.HERE / "runc_held_caps.py").read_text()
    wrapper.write_text(f"#!{os.path.realpath(sys.executable)} -IS\n{source}")
    wrapper.chmod(0o755)
    return ["--add-runtime", f"held={wrapper}", "--default-runtime", "held"]


def is_ours() -> bool:
    """Return whether these scripts started the engine, so that they may trim its build cache."""
    return _unit_marker().exists() or alive(_pid_file(), "dockerd") is not None


def stop() -> str:
    """Stop the engine if these scripts started it; return a description of what was done."""
    if _unit_marker().exists():
        run(["systemctl", "stop", "docker.service", "docker.socket"], store.log("dockerd"), timeout=STOP_SECONDS)
        _unit_marker().unlink()
        return "stopped by systemd"
    pid = alive(_pid_file(), "dockerd")
    if pid is None:
        return "not started from here: left as it is"
    os.kill(pid, signal.SIGTERM)
    wait_for(f"dockerd (process {pid}) ends", lambda: alive(_pid_file(), "dockerd") is None, STOP_SECONDS)
    _pid_file().unlink(missing_ok=True)
    return f"stopped (its images stay in its data folder; to remove them too: {shlex.join(['rm', '-r', '/var/lib/docker'])})"
