"""Measure how often text in half precision and in float8 is float32's, and how many words differ: the test model over its corpus."""

import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch
import whisper
from transcription_api.choices import FLOAT8_CAPABILITY
from transcription_api.spec import Decoding, LanguageDetection, Precision, TaskKind
from transcription_worker.engines.protocol import Options

from benchmarks.engines.corpus import Recording, speech_corpus
from benchmarks.engines.runners import BatchedRunner
from benchmarks.gpu_check.parts.options import Run, begin, part_parser, skip
from tests.support.speech import MissingSynthesiserError, require_espeak
from tests.support.testmodel import model_path


def main(arguments: Sequence[str] | None = None) -> int:
    """Compare with one beam and with five. A CPU has no float16."""
    parser = part_parser(__doc__)
    parser.add_argument("--files", type=int, default=32, help="of 30 to 60 s each")
    run = begin(parser, arguments)
    try:
        require_espeak()
    except MissingSynthesiserError as error:
        raise skip(str(error)) from None
    with tempfile.TemporaryDirectory() as folder:
        recordings = speech_corpus(Path(folder), run.options.files)
        for how, decoding in (("greedy", {"beam_size": 1}), ("5 beams", {})):
            compare(run, recordings, how, decoding)
    return 0


def compare(run: Run, recordings: Sequence[Recording], how: str, decoding: dict[str, Any]) -> None:
    """Add the share of files with the very text of float32, and the word error rate to it."""
    options = Options(TaskKind.TRANSCRIBE, None, Decoding(**decoding), LanguageDetection(windows=1))

    def texts(precision: Precision) -> list[str]:
        model = whisper.load_model(str(model_path()), device=str(run.device))
        return BatchedRunner(model, options, precision=precision).run(recordings).texts

    wanted = texts(Precision.FLOAT32)
    for precision in precisions(run):
        found = texts(precision)
        same = sum(one == other for one, other in zip(wanted, found, strict=True))
        name = f"{precision.value} beside float32, {how}"
        run.figures.add(f"{name}: files with the same text", same / len(wanted), "of 1")
        run.figures.add(f"{name}: words that differ", word_error_rate(wanted, found), "of 1")


def precisions(run: Run) -> list[Precision]:
    """Return what the device computes in. A CPU stores keys and values of the audio in 8 bits, and computes in float32."""
    if run.device.type != "cuda":
        return [Precision.BFLOAT16, Precision.FLOAT8]
    float8 = [Precision.FLOAT8] if torch.cuda.get_device_capability() >= FLOAT8_CAPABILITY else []
    return [Precision.FLOAT16, Precision.BFLOAT16, *float8]


def word_error_rate(wanted: Sequence[str], found: Sequence[str]) -> float:
    """Return the substituted, missing and added words over the words of the wanted texts."""
    pairs = [(one.split(), other.split()) for one, other in zip(wanted, found, strict=True)]
    return sum(word_errors(one, other) for one, other in pairs) / max(1, sum(len(one) for one, _ in pairs))


def word_errors(wanted: Sequence[str], found: Sequence[str]) -> int:
    """Return the Levenshtein distance in words. jiwer is compiled, and may be missing where this runs."""
    row = list(range(len(found) + 1))
    for number, word in enumerate(wanted, 1):
        before, row[0] = row[0], number
        for place, other in enumerate(found, 1):
            before, row[place] = row[place], min(row[place] + 1, row[place - 1] + 1, before + (word != other))
    return row[-1]


if __name__ == "__main__":
    raise SystemExit(main())
