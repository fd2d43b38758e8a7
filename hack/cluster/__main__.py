"""Commands of the test bed; the scripts beside this file call it, one each."""

import sys

from hack.cluster import gobuild, store
from hack.cluster.stages import StageError, say

USAGE = "usage: python3 -m hack.cluster up|down|binaries NAME...|load IMAGE NODE...|build-image TAG DOCKERFILE|env"


def binaries(names: list[str]) -> None:
    """Ensure binaries and print their folder; no lock where nothing is to be done."""
    if gobuild.missing(names, store.versions()):
        with store.lock():
            gobuild.ensure(names)
    print(gobuild.folder())


COMMANDS = {"binaries": binaries}


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
