"""Print how much text changes where the decoder reads the audio in 8 bits: tiny.en over recordings of a person who reads.

On a CPU, in float32 but for keys and values of the audio, which are stored in e4m3 as on a GPU and read by torch. So it says
something of the text and nothing of the speed. `uv run --all-packages --all-groups python -m benchmarks.engines.float8`.
"""

import argparse
from collections.abc import Sequence

import torch
from transcription_api.spec import Decoding, LanguageDetection, Precision, TaskKind
from transcription_worker.engines.protocol import Options

from benchmarks.engines.compare import word_errors
from benchmarks.engines.corpus import Recording
from benchmarks.engines.prompts import prompt_recordings
from benchmarks.engines.runners import BatchedRunner
from tests.support.realmodel import load_real_model
from tests.support.transcript_score import word_error_rate

PRECISIONS = (Precision.FLOAT32, Precision.FLOAT8)


def main() -> int:
    """Compare with each number of beams."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--files", type=int, default=1000, help="of the 58 recordings; every n-th where it is fewer")
    parser.add_argument("--batch", type=int, default=8, help="windows that are decoded together")
    parser.add_argument("--beams", type=int, nargs="+", default=[1, 5], help="5 is the resource's default")
    parser.add_argument("--threads", type=int, default=2)
    chosen = parser.parse_args()
    torch.set_num_threads(chosen.threads)
    recordings = prompt_recordings(chosen.files)
    print(f"{len(recordings)} files, {sum(one.seconds for one in recordings) / 60:.1f} minutes of audio")
    print("| | files with float32's text | WER to it | words wrong |")
    print("|---|---|---|---|")
    for beams in chosen.beams:
        print_rows(beams, recordings, chosen.batch)
    return 0


def print_rows(beams: int, recordings: Sequence[Recording], batch: int) -> None:
    """Print a row for each precision, beside float32 and beside what was said."""
    options = Options(TaskKind.TRANSCRIBE, "en", Decoding(beam_size=beams), LanguageDetection(windows=1))
    spoken = " ".join(one.text for one in recordings)
    wanted: list[str] = []
    for precision in PRECISIONS:
        found = BatchedRunner(load_real_model(), options, batch, precision).run(recordings).texts
        wanted = wanted or found
        same = sum(one == other for one, other in zip(wanted, found, strict=True))
        wrong = word_error_rate(spoken, " ".join(found))
        row = f"{same} of {len(found)} | {word_errors(wanted, found):.2%} | {wrong:.2%}"
        print(f"| {precision.value}, beams: {beams} | {row} |", flush=True)


if __name__ == "__main__":
    raise SystemExit(main())
