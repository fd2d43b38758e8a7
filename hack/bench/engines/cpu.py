"""The engines on a CPU: `make bench`."""

import argparse
import tempfile
from pathlib import Path
from typing import Any

import torch
import whisper
from transcription_api.spec import Decoding, LanguageDetection, LongForm, TaskKind
from transcription_worker.engines.protocol import Options

from hack.bench.engines.compare import Result, compare, print_table, word_errors
from hack.bench.engines.corpus import long_recording, noise_corpus, speech_corpus
from hack.bench.engines.machine import describe_machine
from hack.bench.engines.models import random_model
from hack.bench.engines.sides import Batched, Reference, Side
from tests.support.testmodel import model_path

# What the project promises: end to end and decoding alone with the test model, end to end with the size of `base`.
WALL, DECODING, BASE_WALL = 3.0, 8.0, 2.0
LONG_SECONDS = 600.0
TOKENS = 100  # for each window of the random model
EOT = 50257


def main() -> int:
    """0 if every promise is kept."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--files", type=int, default=32)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--batch", type=int, default=32, help="files decoded together")
    parser.add_argument("--only", choices=list(COMPARISONS), help="one of the comparisons")
    chosen = parser.parse_args()
    torch.set_num_threads(chosen.threads)
    describe_machine(chosen.threads)
    asked_for = [chosen.only] if chosen.only else list(COMPARISONS)
    with tempfile.TemporaryDirectory() as folder:
        kept = [COMPARISONS[name](Path(folder), chosen) for name in asked_for]
    return 0 if all(kept) else 1


def asked(**decoding: Any) -> Options:
    """As the function transcribe has them by default: greedy, one window for the language."""
    return Options(TaskKind.TRANSCRIBE, None, Decoding(**decoding), LanguageDetection(windows=1))


def run_greedy(folder: Path, chosen: argparse.Namespace) -> bool:
    """The shipped model over speech, as transcribe decodes by default."""
    results = _run_speech("greedy", folder, asked(beam_size=1), chosen)
    return results[1].ratio >= WALL and results[1].decoding_ratio >= DECODING


def run_beams(folder: Path, chosen: argparse.Namespace) -> bool:
    """As the whisper command decodes by default. Nothing is promised: the table is for people."""
    _run_speech("5 beams", folder, asked(), chosen)
    return True


def _run_speech(how: str, folder: Path, options: Options, chosen: argparse.Namespace) -> list[Result]:
    recordings = speech_corpus(folder, chosen.files)
    path = str(model_path())
    sides: list[Side] = [
        Reference(whisper.load_model(path, device="cpu"), options),
        Batched(whisper.load_model(path, device="cpu"), options, chosen.batch),
        *_others(path, options, chosen),
    ]
    results = compare(sides, recordings, chosen.rounds)
    print_table(f"Test model, float32, {how}", results, recordings)
    return results


def _others(path: str, options: Options, chosen: argparse.Namespace) -> list[Side]:
    try:
        from hack.bench.engines.faster import Faster
    except ImportError:
        print("faster-whisper is not installed")
        return []
    return [Faster(path, options, chosen.threads)]


def run_base(folder: Path, chosen: argparse.Namespace) -> bool:
    """Random weights of `base` dimensions, every window as many tokens."""
    recordings = noise_corpus(folder, max(1, chosen.files // 2), 30.0)
    options = asked(temperatures=(0.0,), beam_size=1, suppress_tokens=(-1, EOT), without_timestamps=True)
    sides: list[Side] = [
        Reference(random_model("base", TOKENS), options),
        Batched(random_model("base", TOKENS), options, min(chosen.batch, 16)),
    ]
    results = compare(sides, recordings, chosen.rounds)
    print_table(f"Random weights of base, float32, greedy, {TOKENS} tokens a window", results, recordings)
    return results[1].ratio >= BASE_WALL


def run_long(folder: Path, chosen: argparse.Namespace) -> bool:
    """One long file: window after window, or cut at silences into pieces that are decoded side by side."""
    recordings = [long_recording(folder, LONG_SECONDS)]
    path = str(model_path())
    ways = {form: asked(beam_size=1, long_form=form) for form in LongForm}
    sides: list[Side] = []
    for form, options in ways.items():
        side = Batched(whisper.load_model(path, device="cpu"), options, chosen.batch)
        side.name = form.value
        sides.append(side)
    results = compare(sides, recordings, chosen.rounds)
    print_table(f"Test model, one file of {LONG_SECONDS / 60:.0f} minutes, greedy", results, recordings)
    for one in results:
        print(f"WER of {one.name} to what was spoken: {word_errors([recordings[0].text], one.texts):.2%}")
    return True


COMPARISONS = {"speech": run_greedy, "beams": run_beams, "base": run_base, "long": run_long}

if __name__ == "__main__":
    raise SystemExit(main())
