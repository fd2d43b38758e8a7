"""Read media files that were damaged at random as the worker does, and say what became of them.

`python -m tests.media_fuzz` reads 1,000. FUZZ_SEED repeats a run; without it the commit's hash is the seed.
"""

import argparse
import sys
import tempfile
import time
from collections import Counter
from pathlib import Path

from tests.media_fuzz.cases import COUNT, SEED, cases
from tests.media_fuzz.recordings import KINDS, recording
from tests.media_fuzz.run import Outcome, run
from tests.support.seeds import seed_of_run


def main() -> int:
    """Read all; return 0 if nothing is wrong."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--start", type=int, default=0, help="the number of the first file")
    parser.add_argument("--count", type=int, default=COUNT, help="how many files")
    parser.add_argument("--verbose", action="store_true", help="say what became of each file")
    parser.add_argument("--keep", type=Path, help="a folder for the files that something is wrong with")
    options = parser.parse_args()
    seed, began = seed_of_run(SEED), time.monotonic()
    print(f"FUZZ_SEED={seed}", flush=True)
    outcomes = []
    with tempfile.TemporaryDirectory() as folder:
        for case in cases(range(options.start, options.start + options.count), seed):
            outcome = run(case, Path(folder))
            outcomes.append(outcome)
            tell(outcome, options.verbose)
            if outcome.defects and options.keep:
                options.keep.mkdir(parents=True, exist_ok=True)
                (options.keep / case.name).write_bytes(case.body)
    print_table(outcomes)
    print(f"{len(outcomes)} files in {time.monotonic() - began:.0f} s")
    return int(any(outcome.defects for outcome in outcomes))


def tell(outcome: Outcome, verbose: bool) -> None:
    """Print what is wrong; with `verbose` print every outcome."""
    if verbose:
        print(f"{outcome.case}: {outcome.reason} {outcome.message!r} {outcome.seconds:.1f} s", flush=True)
    for defect in outcome.defects:
        print(f"FAILED {outcome.case}: {defect}", flush=True)
    if outcome.defects:
        print(f"  alone: make test-media-fuzz MEDIA='--start {outcome.case.number} --count 1'", flush=True)


def print_table(outcomes: list[Outcome]) -> None:
    """Print how many files ended how, and the most that one of them took."""
    print(f"\n{'outcome':40} {'files':>6} {'wrong':>6}")
    for reason, count in sorted(Counter(outcome.reason for outcome in outcomes).items()):
        wrong = sum(bool(item.defects) for item in outcomes if item.reason == reason)
        print(f"{reason:40} {count:6} {wrong:6}")
    missing = [str(kind) for kind in KINDS if recording(kind) is None]
    print(f"kinds: {len(KINDS) - len(missing)}; not written by this ffmpeg: {', '.join(missing) or 'none'}")
    if outcomes:
        print(f"at most {max(item.seconds for item in outcomes):.1f} s, ", end="")
        print(f"{max(item.disk for item in outcomes) >> 20} MiB of disk, ", end="")
        print(f"{max(item.memory for item in outcomes) >> 20} MiB of memory")


if __name__ == "__main__":
    sys.exit(main())
