"""Compare the engines with the weights of Whisper's tiny.en over recordings of a person who reads."""

import argparse
from functools import partial
from pathlib import Path
from typing import Any

from transcription_api.spec import Decoding, LanguageDetection, Precision, TaskKind
from transcription_worker.engines.protocol import Options

from benchmarks.engines.compare import compare, print_table
from benchmarks.engines.prompts import prompt_recordings
from benchmarks.engines.runners import BatchedRunner, OpenAIWhisperRunner, Runner
from benchmarks.engines.subprocess_runner import SubprocessRunner
from tests.support.realmodel import load_real_model, real_model_path
from tests.support.transcript_score import word_error_rate

# The aims with one beam and with five, over openai-whisper's speed: printed beside what was reached.
GREEDY, BEAMS = 3.0, 5.0
PIECES = 16  # of a file that faster-whisper decodes together, its command's own choice for batches


def run_real_greedy(_: Path, chosen: argparse.Namespace) -> bool:
    """Compare one beam."""
    return _run("greedy", {"beam_size": 1}, GREEDY, chosen)


def run_real_beams(_: Path, chosen: argparse.Namespace) -> bool:
    """Compare five beams, the whisper command's default."""
    return _run("5 beams", {}, BEAMS, chosen)


def _run(how: str, decoding: dict[str, Any], aim: float, chosen: argparse.Namespace) -> bool:
    """Print the table and how many words are wrong; return whether the texts in float32 are openai-whisper's."""
    recordings = prompt_recordings(chosen.files)
    options = Options(TaskKind.TRANSCRIBE, "en", Decoding(**decoding), LanguageDetection(windows=1))
    makers = [
        partial(real_openai_whisper, options),
        *(partial(real_batched, options, chosen.batch, precision) for precision in PRECISIONS),
        *(partial(real_faster_whisper, options, chosen.threads, pieces) for pieces in (0, PIECES)),
    ]
    runners: list[Runner] = [SubprocessRunner(make, chosen.threads) for make in makers]
    results = compare(runners, recordings, chosen.rounds)
    print_table(f"tiny.en, {how}", results, recordings)
    spoken = " ".join(one.text for one in recordings)
    for one in results:
        print(f"words that {one.name} has wrong: {word_error_rate(spoken, ' '.join(one.texts)):.2%}")
    reference, ours = results[:2]
    print(f"{ours.ratio:.2f} times as fast as openai-whisper, aim {aim}")
    return ours.texts == reference.texts


PRECISIONS = (Precision.AUTO, Precision.BFLOAT16, Precision.INT8)


def real_openai_whisper(options: Options) -> Runner:
    """Return openai-whisper with tiny.en."""
    return OpenAIWhisperRunner(load_real_model(), options)


def real_batched(options: Options, batch: int, precision: Precision) -> Runner:
    """Return the batched engine with tiny.en."""
    return BatchedRunner(load_real_model(), options, batch, precision)


def real_faster_whisper(options: Options, threads: int, batch: int) -> Runner:
    """Return faster-whisper with tiny.en in int8, one file at a time, as its users run it."""
    from benchmarks.engines.faster_whisper_runner import Configuration, FasterWhisperRunner

    return FasterWhisperRunner(str(real_model_path()), options, threads, Configuration(1, batch), "int8")
