"""Media files that were damaged at random give a transcript or a named failure.

`make test-media-fuzz` reads a thousand; here is a sample, another one for each commit. FUZZ_SEED repeats it.
"""

import json
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from transcription_worker.media import ffmpeg
from transcription_worker.media.reading import FORMATS

from tests.media_fuzz.cases import SEED, cases, sample
from tests.media_fuzz.measured import reader
from tests.media_fuzz.recordings import KINDS, NOTHING_WRITES, Kind, recording
from tests.media_fuzz.run import greedy, run
from tests.support.seeds import seed_of_run

SAMPLE = 30


def test_a_file_that_was_damaged_at_random_is_read_or_fails_by_name(tmp_path: Path) -> None:
    seed = seed_of_run(SEED)
    print(f"FUZZ_SEED={seed}")
    with reader() as files:
        outcomes = [run(case, tmp_path, files) for case in cases(sample(seed, SAMPLE), seed)]
    assert not [f"{item.case}: {item.defects}" for item in outcomes if item.defects]
    assert greedy(outcomes) == []
    read = sum(item.reason == "Complete" for item in outcomes)
    assert SAMPLE / 10 < read < SAMPLE


def test_files_of_every_format_that_is_accepted_are_damaged_unless_nothing_writes_one(tmp_path: Path) -> None:
    kinds = {kind.extension: kind for kind in KINDS}.values()
    with ThreadPoolExecutor(4) as threads:
        written = set().union(*threads.map(lambda kind: formats_of(kind, tmp_path), kinds))
    assert written | NOTHING_WRITES.keys() == set(FORMATS)
    assert not written & NOTHING_WRITES.keys()


def formats_of(kind: Kind, folder: Path) -> set[str]:
    """Return ffprobe's names of the format of a whole file of that kind, which must have sound."""
    path = folder / kind.extension
    path.write_bytes(recording(kind) or b"")
    result, out = ffmpeg.show(path, "format=format_name:stream=codec_type,channels")
    assert result.returncode == 0, f"{kind}: {result.first_error()}"
    shown = json.loads(out)
    assert any(stream["codec_type"] == "audio" and stream["channels"] for stream in shown["streams"]), kind
    return set(shown["format"]["format_name"].split(","))
