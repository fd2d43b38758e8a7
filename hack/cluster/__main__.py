"""Commands of the test bed; the scripts beside this file call it, one each."""

import os
import shlex
import sys
import time
from collections.abc import Callable

from hack.cluster import engine, gobuild, images, kind, store
from hack.cluster.stages import StageError, output, say, stage

USAGE = "usage: python3 -m hack.cluster up|down|binaries NAME...|load IMAGE NODE...|build-image TAG DOCKERFILE|env"


def uses_existing() -> bool:
    """CLUSTER=existing: the current kubectl context instead of kind. Raises StageError for another value."""
    value = os.environ.get("CLUSTER", "kind")
    if value not in ("kind", "existing"):
        raise StageError(f"CLUSTER={value}: expected kind or existing")
    return value == "existing"


def up(_: list[str]) -> None:
    if uses_existing():
        return check_existing()
    began = time.monotonic()
    with store.lock():
        with stage("Docker engine"):
            say(f"   {engine.ensure()}")
        with stage(f"base image {images.base_name()}"):
            say(f"   {images.ensure_base()}")
        how = kind.ensure(images.ensure_node())
    say(f"cluster {kind.NAME} {how} in {time.monotonic() - began:.0f} s")
    return env([])


def check_existing() -> None:
    """The current context answers; which it is. Raises StageError otherwise."""
    context = output(["kubectl", "config", "current-context"]).strip()
    nodes = output(["kubectl", "get", "nodes", "--no-headers", "--request-timeout=20s"])
    say(f"the existing cluster of context {context} answers: {len(nodes.splitlines())} nodes")


def down(_: list[str]) -> None:
    if uses_existing():
        say("CLUSTER=existing: nothing was started, nothing is removed")
        return
    with store.lock():
        if engine.answers():
            with stage(f"cluster {kind.NAME}: removed"):
                kind.delete()
        with stage("Docker engine"):
            say(f"   {engine.stop()}")


def binaries(names: list[str]) -> None:
    """Ensure binaries and print their folder; no lock where nothing is to be done."""
    if gobuild.missing(names, store.versions()):
        with store.lock():
            gobuild.ensure(names)
    print(gobuild.folder())


def env(_: list[str]) -> None:
    """Shell text for `eval`: the binaries on PATH, and kind's kubeconfig unless CLUSTER=existing."""
    print(f"export PATH={shlex.quote(str(gobuild.folder()))}:$PATH")
    if not uses_existing():
        print(f"export KUBECONFIG={shlex.quote(str(store.kubeconfig()))}")


COMMANDS: dict[str, Callable[[list[str]], None]] = {"up": up, "down": down, "binaries": binaries, "env": env}


def main(arguments: list[str]) -> int:
    if not arguments or arguments[0] not in COMMANDS:
        say(USAGE)
        return 2
    try:
        COMMANDS[arguments[0]](arguments[1:])
    except StageError as error:
        say(f"error: {error}")
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
