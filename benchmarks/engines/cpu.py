"""Compare the engines on a CPU: `make bench`."""

import argparse
import importlib.util
import tempfile
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path
from typing import Any

import torch
import whisper
from transcription_api.spec import DEFAULT_BEAM_SIZE, Decoding, LanguageDetection, LongForm, Precision, TaskKind
from transcription_worker.engines.protocol import Options
from transcription_worker.threads import SPIN_COUNT

from benchmarks.engines.busy_process import busy_process
from benchmarks.engines.compare import Result, compare, print_table, word_errors
from benchmarks.engines.corpus import Recording, long_recording, noise_corpus, speech_corpus
from benchmarks.engines.machine import describe_machine
from benchmarks.engines.random_models import random_model
from benchmarks.engines.real_model import PRECISIONS, run_real_beams, run_real_greedy
from benchmarks.engines.runners import BatchedRunner, OpenAIWhisperRunner, Runner
from benchmarks.engines.subprocess_runner import SubprocessRunner
from tests.support.testmodel import model_path

# What the project promises: end to end and decoding alone with the test model, end to end with other sizes, greedy and with
# five beams; and end to end ahead of faster-whisper.
WALL, DECODING = 3.0, 8.0
GREEDY_WALLS, BEAMS_WALLS = {"tiny": 3.0, "base": 3.0, "small": 2.0}, {"tiny": 5.0, "base": 5.0}
LONG_SECONDS, SHARED_SECONDS = 600.0, 120.0
TOKENS = 100  # for each window of the random model
EOT = 50257


def main() -> int:
    """Run the comparisons; return 0 if every promise is kept."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--files", type=int, default=32)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument(
        "--batch", type=int, default=16, help="files decoded together; with two cores this is what the engine chooses"
    )
    parser.add_argument("--only", choices=list(COMPARISONS), help="one of the comparisons")
    chosen = parser.parse_args()
    torch.set_num_threads(chosen.threads)
    describe_machine(chosen.threads)
    comparisons = [chosen.only] if chosen.only else list(COMPARISONS)
    with tempfile.TemporaryDirectory() as folder:
        kept = [COMPARISONS[name](Path(folder), chosen) for name in comparisons]
    return 0 if all(kept) else 1


def decoding_options(**decoding: Any) -> Options:
    """Return the defaults of whisper.transcribe: greedy, with one window for the language."""
    return Options(TaskKind.TRANSCRIBE, None, Decoding(**decoding), LanguageDetection(windows=1))


def run_greedy(folder: Path, chosen: argparse.Namespace) -> bool:
    """Compare the test model over speech, greedy, as whisper.transcribe decodes by default."""
    results = _run_speech("greedy", folder, decoding_options(beam_size=1), chosen)
    ours, others = results[1], results[2:]
    ahead = all(ours.wall < other.wall for other in others)
    return ahead and ours.ratio >= WALL and ours.decoding_ratio >= DECODING


def run_beams(folder: Path, chosen: argparse.Namespace) -> bool:
    """Compare the test model with five beams, the whisper command's default. Nothing is promised; the table informs."""
    _run_speech("5 beams", folder, decoding_options(), chosen)
    return True


def _run_speech(how: str, folder: Path, options: Options, chosen: argparse.Namespace) -> list[Result]:
    recordings = speech_corpus(folder, chosen.files)
    runners: list[Runner] = [
        SubprocessRunner(partial(testmodel_openai_whisper, options), chosen.threads),
        SubprocessRunner(partial(testmodel_batched, options, chosen.batch), chosen.threads),
    ]
    if importlib.util.find_spec("faster_whisper") is None:
        print("faster-whisper is not installed")
    else:
        runners.append(SubprocessRunner(partial(testmodel_faster_whisper, options, chosen.threads), chosen.threads))
    results = compare(runners, recordings, chosen.rounds)
    print_table(f"Test model, float32, {how}", results, recordings)
    return results


def testmodel_openai_whisper(options: Options) -> Runner:
    """Return openai-whisper with the test model."""
    return OpenAIWhisperRunner(whisper.load_model(str(model_path()), device="cpu"), options)


def testmodel_batched(options: Options, batch: int) -> Runner:
    """Return the batched engine with the test model."""
    return BatchedRunner(whisper.load_model(str(model_path()), device="cpu"), options, batch)


def testmodel_faster_whisper(options: Options, threads: int) -> Runner:
    """Return faster-whisper with the test model's weights, converted."""
    from benchmarks.engines.faster_whisper_runner import FasterWhisperRunner

    return FasterWhisperRunner(str(model_path()), options, threads)


def run_size(size: str, count: int, folder: Path, chosen: argparse.Namespace) -> bool:
    """Compare random weights with the dimensions of a size, with the same number of tokens for every window, greedy."""
    batch, options = chosen.batch, forced_tokens(1)
    makers = [
        partial(random_openai_whisper, size, options),
        *(partial(random_batched, size, options, batch, precision) for precision in PRECISIONS),
        *(partial(random_faster_whisper, size, chosen.threads, pieces) for pieces in (0, batch)),
    ]
    results = _run_size(f"{size}, greedy", noise_corpus(folder, count, 30.0), makers, chosen)
    return results[1].ratio >= GREEDY_WALLS[size]


def run_size_with_beams(size: str, count: int, folder: Path, chosen: argparse.Namespace) -> bool:
    """Compare the same with five beams, for openai-whisper and float32 alone."""
    batch, options = chosen.batch, forced_tokens(DEFAULT_BEAM_SIZE)
    makers = [
        partial(random_openai_whisper, size, options),
        partial(random_batched, size, options, batch, Precision.AUTO),
    ]
    results = _run_size(f"{size}, {DEFAULT_BEAM_SIZE} beams", noise_corpus(folder, count, 30.0), makers, chosen)
    return results[1].ratio >= BEAMS_WALLS[size]


def forced_tokens(beams: int) -> Options:
    """Return options with which no text ends before the model's context does."""
    return decoding_options(temperatures=(0.0,), beam_size=beams, suppress_tokens=(-1, EOT), without_timestamps=True)


def _run_size(
    what: str, recordings: list[Recording], makers: Sequence[Callable[[], Runner]], chosen: argparse.Namespace
) -> list[Result]:
    results = compare([SubprocessRunner(make, chosen.threads) for make in makers], recordings, chosen.rounds)
    print_table(f"Random weights of {what}, {TOKENS} tokens a window", results, recordings)
    return results


def random_openai_whisper(size: str, options: Options) -> Runner:
    """Return openai-whisper with random weights."""
    return OpenAIWhisperRunner(random_model(size, TOKENS), options)


def random_batched(size: str, options: Options, batch: int, precision: Precision) -> Runner:
    """Return the batched engine with random weights."""
    return BatchedRunner(random_model(size, TOKENS), options, batch, precision)


def random_faster_whisper(size: str, threads: int, batch: int) -> Runner:
    """Return faster-whisper with random weights in int8."""
    from benchmarks.engines.faster_whisper_random import RandomFasterWhisperRunner

    return RandomFasterWhisperRunner(size, TOKENS, threads, batch)


def run_long(folder: Path, chosen: argparse.Namespace) -> bool:
    """Compare one long file window after window, and cut at silences into chunks that are decoded side by side."""
    recordings = [long_recording(folder, LONG_SECONDS)]
    runners: list[Runner] = [
        SubprocessRunner(
            partial(renamed, form.value, decoding_options(beam_size=1, long_form=form), chosen.batch), chosen.threads
        )
        for form in LongForm
    ]
    results = compare(runners, recordings, chosen.rounds)
    print_table(f"Test model, one file of {LONG_SECONDS / 60:.0f} minutes, greedy", results, recordings)
    for one in results:
        print(f"WER of {one.name} to what was spoken: {word_errors([recordings[0].text], one.texts):.2%}")
    return True


def run_shared(folder: Path, chosen: argparse.Namespace) -> bool:
    """Compare one file while another process uses one of the cores, and while none does."""
    recordings = [long_recording(folder, SHARED_SECONDS)]
    options = decoding_options(beam_size=1)
    briefly = {"GOMP_SPINCOUNT": str(SPIN_COUNT)}
    runners: list[Runner] = [
        SubprocessRunner(partial(testmodel_openai_whisper, options), chosen.threads),
        SubprocessRunner(partial(renamed, "batched, OpenMP as it is", options, 1), chosen.threads),
        SubprocessRunner(partial(renamed, "batched, as the worker sets it", options, 1), chosen.threads, briefly),
    ]
    title = f"Test model, one file of {SHARED_SECONDS:.0f} s, greedy, {chosen.threads} threads"
    print_table(f"{title}, alone", compare(runners, recordings, chosen.rounds), recordings)
    with busy_process():
        print_table(f"{title}, beside a busy process", compare(runners, recordings, chosen.rounds), recordings)
    return True


def renamed(name: str, options: Options, batch: int) -> Runner:
    """Return the batched engine with the test model, under a name that says what is special about it."""
    runner = testmodel_batched(options, batch)
    runner.name = name
    return runner


COMPARISONS: dict[str, Callable[[Path, argparse.Namespace], bool]] = {
    "real": run_real_greedy,
    "real-beams": run_real_beams,
    "tiny": partial(run_size, "tiny", 16),
    "tiny-beams": partial(run_size_with_beams, "tiny", 16),
    "base": partial(run_size, "base", 8),
    "base-beams": partial(run_size_with_beams, "base", 8),
    "small": partial(run_size, "small", 4),
    "speech": run_greedy,
    "beams": run_beams,
    "long": run_long,
    "shared": run_shared,
}

if __name__ == "__main__":
    raise SystemExit(main())
