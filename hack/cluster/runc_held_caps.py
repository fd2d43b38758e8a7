"""Run runc with only the capabilities that this machine has.

`docker run --privileged` asks for all that the kernel knows, and fails ("unable to apply caps") where one of them
is not in the bounding set. dockerd takes a copy of this file as its runtime; a first line is put before it.
"""

import json
import os
import shutil
import sys
from pathlib import Path
from typing import Any

# capability numbers are positions here: include/uapi/linux/capability.h
NAMES = (
    "CHOWN DAC_OVERRIDE DAC_READ_SEARCH FOWNER FSETID KILL SETGID SETUID SETPCAP LINUX_IMMUTABLE NET_BIND_SERVICE "
    "NET_BROADCAST NET_ADMIN NET_RAW IPC_LOCK IPC_OWNER SYS_MODULE SYS_RAWIO SYS_CHROOT SYS_PTRACE SYS_PACCT SYS_ADMIN "
    "SYS_BOOT SYS_NICE SYS_RESOURCE SYS_TIME SYS_TTY_CONFIG MKNOD LEASE AUDIT_WRITE AUDIT_CONTROL SETFCAP MAC_OVERRIDE "
    "MAC_ADMIN SYSLOG WAKE_ALARM BLOCK_SUSPEND AUDIT_READ PERFMON BPF CHECKPOINT_RESTORE"
).split()


def held_capabilities() -> set[str]:
    status = Path("/proc/self/status").read_text()
    mask = next(int(line.split()[1], 16) for line in status.splitlines() if line.startswith("CapBnd"))
    return {"CAP_" + name for number, name in enumerate(NAMES) if mask >> number & 1}


def limit(task: dict[str, Any], held: set[str]) -> None:
    """Limit an OCI `process` object to the capabilities in `held`, and to the OOM score that it may have."""
    for kind, wanted in (task.get("capabilities") or {}).items():
        task["capabilities"][kind] = [name for name in wanted if name in held]
    if task.get("oomScoreAdj", 0) < 0:
        task["oomScoreAdj"] = 0


def option(arguments: list[str], *names: str) -> str | None:
    return next((arguments[arguments.index(name) + 1] for name in names if name in arguments), None)


def request(arguments: list[str]) -> Path | None:
    """Return the file that says what runc is asked to run: a bundle's configuration, or the process of an exec."""
    if "create" in arguments or "run" in arguments:
        return Path(option(arguments, "--bundle", "-b") or ".", "config.json")
    found = option(arguments, "--process", "-p") if "exec" in arguments else None
    return Path(found) if found else None


def main(arguments: list[str]) -> None:
    path = request(arguments)
    if path:
        document = json.loads(path.read_text())
        limit(document.get("process", document), held_capabilities())
        path.write_text(json.dumps(document))
    runc = shutil.which("runc", path="/usr/sbin:/usr/bin:/usr/local/sbin:/usr/local/bin") or "runc"
    os.execv(runc, ["runc", *arguments])  # noqa: S606 (this process becomes runc)


if __name__ == "__main__":
    main(sys.argv[1:])
