"""Run the commands of the test bed; each script beside this file calls one of them."""

import math
import os
import shlex
import shutil
import sys
import time
from collections.abc import Callable
from pathlib import Path

from hack.cluster import builds, engine, gobuild, images, kind, load, store
from hack.cluster.stages import StageError, output, say, stage

USAGE = """usage: hack/cluster/COMMAND
  up                                 a cluster that works: 3 nodes in kind, or CLUSTER=existing for the current context
  down                               remove all that was started; what was built stays in the cache
  env                                print shell text for eval: PATH and KUBECONFIG
  binaries NAME...                   build what is missing, print the folder
  binary-image NAME                  an image of one of these binaries alone, print its tag
  module NAME                        print the folder of such a binary's Go module, such as for its chart
  build-image TAG DOCKERFILE [OPTION...]   docker build, with this machine's way to the package registries
  load IMAGE NODE...                 bring an image to nodes: control-plane, gpu, plain"""


CLIENTS = ("kubectl", "helm")  # what demo and tests call


def uses_existing() -> bool:
    """Return whether CLUSTER=existing selects the current kubectl context instead of kind.

    Raises:
        StageError: CLUSTER has another value than kind or existing.
    """
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
        gobuild.ensure(CLIENTS)
        node_image = images.ensure_node()
        how = kind.ensure(node_image)
        images.remove_superseded(images.NODE, node_image)  # once no node uses them
    say(f"cluster {kind.NAME} {how} in {time.monotonic() - began:.0f} s")
    return env([])


def check_existing() -> None:
    """Check that the current context answers, and say which it is; build the clients that PATH lacks.

    Raises:
        StageError: the cluster does not answer.
    """
    absent = [name for name in CLIENTS if shutil.which(name) is None]
    if absent:
        ensure_binaries(absent)
    os.environ["PATH"] += os.pathsep + str(gobuild.folder())
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
                if engine.is_ours():
                    kind.delete_network()
        with stage("Docker engine"):
            say(f"   {engine.stop()}")


def binaries(names: list[str]) -> None:
    """Ensure binaries and print their folder."""
    ensure_binaries(names)
    print(gobuild.folder())


def ensure_binaries(names: list[str]) -> None:
    """Build the binaries that are missing. The lock is taken only if there is something to do."""
    if gobuild.missing(names, store.versions()):
        with store.lock():
            gobuild.ensure(names)


def env(_: list[str]) -> None:
    """Print shell text for `eval` that sets PATH and kind's kubeconfig. With CLUSTER=existing the user's own go first."""
    folder = shlex.quote(str(gobuild.folder()))
    if uses_existing():
        print(f"export PATH=$PATH:{folder}")
        return
    print(f"export PATH={folder}:$PATH")
    print(f"export KUBECONFIG={shlex.quote(str(store.kubeconfig()))}")


def binary_image(names: list[str]) -> None:
    print(builds.binary_image(*names))


def module(names: list[str]) -> None:
    with store.lock():
        print(gobuild.module_folder(*names))


def build_image(words: list[str]) -> None:
    builds.build_image(words[0], Path(words[1]), words[2:])


def load_image(words: list[str]) -> None:
    if uses_existing():
        raise StageError(f"CLUSTER=existing: push {words[0]} to a registry that the cluster pulls from")
    load.load(words[0], words[1:])


# command, and how many words it takes: at least, at most
COMMANDS: dict[str, tuple[Callable[[list[str]], None], int, float]] = {
    "up": (up, 0, 0),
    "down": (down, 0, 0),
    "env": (env, 0, 0),
    "binaries": (binaries, 1, math.inf),
    "binary-image": (binary_image, 1, 1),
    "module": (module, 1, 1),
    "build-image": (build_image, 2, math.inf),
    "load": (load_image, 2, math.inf),
}


def main(arguments: list[str]) -> int:
    name, words = (arguments or [""])[0], arguments[1:]
    command, least, most = COMMANDS.get(name, (None, 0, 0))
    if command is None or not least <= len(words) <= most:
        say(USAGE)
        return 2
    try:
        command(words)
    except StageError as error:
        say(f"error: {error}")
        return 1
    except KeyboardInterrupt:
        say("interrupted")
        return 130
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
