"""The program that reads headers, with objects that take it down, hold it or have it take all memory."""

import os
import signal
import sys
import time
from multiprocessing.connection import Connection

from transcription_worker.batch.header_reader import RangedFile, answer, limit_resources, probe

COMMAND = (sys.executable, "-m", "tests.support.header_reader")
# What such objects begin with.
DEADLY, ENDLESS, GREEDY, BABBLING = b"DEADLY", b"ENDLES", b"GREEDY", b"BABBLE"


def hostile_probe(file: RangedFile) -> tuple[bool, float | None]:
    """Do what the first bytes say, or else read the header."""
    begins = file.read(len(DEADLY))
    file.seek(0)
    if begins == DEADLY:
        os.kill(os.getpid(), signal.SIGSEGV)
    if begins == ENDLESS:
        time.sleep(60)
    if begins == GREEDY:
        bytearray(2 << 30)
    if begins == BABBLING:
        raise SystemExit(3)
    return probe(file)


if __name__ == "__main__":
    limit_resources()
    answer(Connection(int(sys.argv[1])), hostile_probe)
