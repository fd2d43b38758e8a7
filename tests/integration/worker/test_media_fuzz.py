"""Media files that were damaged at random give a transcript or a named failure.

`make test-media-fuzz` reads a thousand; here is a sample, another one for each commit. FUZZ_SEED repeats it.
"""

import random
from pathlib import Path

from tests.media_fuzz.cases import COUNT, SEED, cases
from tests.media_fuzz.run import run
from tests.support.seeds import seed_of_run

SAMPLE = 40


def test_a_file_that_was_damaged_at_random_is_read_or_fails_by_name(tmp_path: Path) -> None:
    seed = seed_of_run(SEED)
    print(f"FUZZ_SEED={seed}")
    numbers = random.Random(seed).sample(range(COUNT), SAMPLE)
    outcomes = [run(case, tmp_path) for case in cases(numbers, seed)]
    assert not [f"{item.case}: {item.defects}" for item in outcomes if item.defects]
    read = sum(item.reason == "Complete" for item in outcomes)
    assert SAMPLE / 10 < read < SAMPLE
