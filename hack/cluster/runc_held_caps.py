"""runc, asked only for the capabilities that this machine has.

`docker run --privileged` asks for all that the kernel knows, and fails ("unable to apply caps") where one of them
is not in the bounding set. dockerd takes a copy of this file as its runtime; a first line is put before it.
"""

import json
import os
import shutil
import sys

# capability numbers are positions here: include/uapi/linux/capability.h
NAMES = (
    "CHOWN DAC_OVERRIDE DAC_READ_SEARCH FOWNER FSETID KILL SETGID SETUID SETPCAP LINUX_IMMUTABLE NET_BIND_SERVICE "
    "NET_BROADCAST NET_ADMIN NET_RAW IPC_LOCK IPC_OWNER SYS_MODULE SYS_RAWIO SYS_CHROOT SYS_PTRACE SYS_PACCT SYS_ADMIN "
    "SYS_BOOT SYS_NICE SYS_RESOURCE SYS_TIME SYS_TTY_CONFIG MKNOD LEASE AUDIT_WRITE AUDIT_CONTROL SETFCAP MAC_OVERRIDE "
    "MAC_ADMIN SYSLOG WAKE_ALARM BLOCK_SUSPEND AUDIT_READ PERFMON BPF CHECKPOINT_RESTORE"
).split()


def held_capabilities():
    with open("/proc/self/status") as status:
        mask = next(int(line.split()[1], 16) for line in status if line.startswith("CapBnd"))
    return {"CAP_" + name for number, name in enumerate(NAMES) if mask >> number & 1}


def limit(task, held):
    """An OCI `process` object asks for no more than `held`, and for no better OOM score than it may have."""
    for kind, wanted in (task.get("capabilities") or {}).items():
        task["capabilities"][kind] = [name for name in wanted if name in held]
    if task.get("oomScoreAdj", 0) < 0:
        task["oomScoreAdj"] = 0


def option(arguments, *names):
    return next((arguments[arguments.index(name) + 1] for name in names if name in arguments), None)


def main(arguments):
    path = None
    if "create" in arguments or "run" in arguments:
        path = os.path.join(option(arguments, "--bundle", "-b") or ".", "config.json")
    elif "exec" in arguments:
        path = option(arguments, "--process", "-p")
    if path:
        with open(path) as file:
            document = json.load(file)
        limit(document.get("process", document), held_capabilities())
        with open(path, "w") as file:
            json.dump(document, file)
    os.execv(shutil.which("runc", path="/usr/sbin:/usr/bin:/usr/local/sbin:/usr/local/bin"), ["runc", *arguments])


if __name__ == "__main__":
    main(sys.argv[1:])
