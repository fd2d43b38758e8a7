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
from tests.media_fuzz.measured import Taken, reader
from tests.media_fuzz.recordings import KINDS, Kind, recording
from tests.media_fuzz.run import Outcome, greedy, run
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
    outcomes, numbers = [], range(options.start, options.start + options.count)
    with tempfile.TemporaryDirectory() as folder, reader() as files:
        for case in cases(numbers, seed):
            outcome = run(case, Path(folder), files)
            outcomes.append(outcome)
            tell(outcome, options.verbose)
            if outcome.defects and options.keep:
                options.keep.mkdir(parents=True, exist_ok=True)
                (options.keep / case.name).write_bytes(case.body)
    print_table(outcomes, {KINDS[number % len(KINDS)] for number in numbers})
    for words in greedy(outcomes):
        print(f"FAILED {words}")
    print(f"{len(outcomes)} files in {time.monotonic() - began:.0f} s")
    return int(any(outcome.defects for outcome in outcomes) or bool(greedy(outcomes)))


def tell(outcome: Outcome, verbose: bool) -> None:
    """Print what is wrong; with `verbose` print every outcome."""
    if verbose:
        taken = outcome.taken
        took = f"{taken.seconds:.1f} s, {taken.written >> 20} MiB written, {taken.memory >> 20} and {taken.ffmpeg_memory >> 20} of memory"
        print(f"{outcome.case}: {outcome.reason} {taken.ending} {took}", flush=True)
    for defect in outcome.defects:
        print(f"FAILED {outcome.case}: {defect}", flush=True)
    if outcome.defects:
        print(f"  alone: make test-media-fuzz MEDIA='--start {outcome.case.number} --count 1'", flush=True)


def print_table(outcomes: list[Outcome], kinds: set[Kind]) -> None:
    """Print how many files ended how, which kinds were not written, and the most that a file took."""
    print(f"\n{'outcome':40} {'files':>6} {'wrong':>6}")
    for reason, count in sorted(Counter(outcome.reason for outcome in outcomes).items()):
        wrong = sum(bool(item.defects) for item in outcomes if item.reason == reason)
        print(f"{reason:40} {count:6} {wrong:6}")
    missing = [str(kind) for kind in kinds if recording(kind) is None]
    print(f"kinds: {len(kinds) - len(missing)}; not written by this ffmpeg: {', '.join(missing) or 'none'}")
    if outcomes:
        taken = [outcome.taken for outcome in outcomes]
        print(f"at most {max(item.seconds for item in taken):.1f} s, {_most('written', taken)} written, ", end="")
        print(f"{_most('memory', taken)} of memory, {_most('ffmpeg_memory', taken)} in ffmpeg")


def _most(name: str, taken: list[Taken]) -> str:
    return f"{max(getattr(item, name) for item in taken) >> 20} MiB"


if __name__ == "__main__":
    sys.exit(main())
