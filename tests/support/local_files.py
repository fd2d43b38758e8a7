"""Parsed options of the local command, and the rights of somebody who owns nothing."""

import contextlib
import os
from collections.abc import Iterator
from pathlib import Path

from transcription_worker.local.plan import Plan, make_plan
from transcription_worker.main import make_parser

NOBODY = 65534


def plan(*words: str | Path) -> Plan:
    """Return the plan of a command line whose results go to `out`, unless it says otherwise."""
    return make_plan(make_parser().parse_args(["local", "--output-dir", "out", *map(str, words)]))


@contextlib.contextmanager
def without_rights() -> Iterator[None]:
    """Read and write files inside the block as nobody, if the tests run as root, to whom nothing is closed."""
    user = os.geteuid()
    if user == 0:
        os.seteuid(NOBODY)
    try:
        yield
    finally:
        os.seteuid(user)
