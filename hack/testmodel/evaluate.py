"""Score a checkpoint on held-out recordings: `python -m hack.testmodel.evaluate model.pt`."""

import argparse
import statistics
import time
from pathlib import Path
from typing import Any

import torch
import whisper

from tests.support.sentences import LANGUAGES
from tests.support.speech import Samples, noise, speak
from tests.support.transcript_score import spoken_text, start_errors, word_error_rate

SECONDS = (60, 90, 120, 180, 300)  # of the recordings
FIRST_SEED = 1
SETTINGS: dict[str, dict[str, Any]] = {
    "conditioned": {},
    "unconditioned": {"condition_on_previous_text": False},
    "conditioned, beam of 5": {"beam_size": 5, "best_of": 5},
    "conditioned, word times": {"word_timestamps": True},
}


def transcribe(model: Any, samples: Samples, settings: dict[str, Any]) -> dict[str, Any]:
    """Return openai-whisper's own result, on the CPU."""
    torch.manual_seed(0)
    result: dict[str, Any] = model.transcribe(samples, fp16=False, **settings)
    return result


def score(model: Any, language: str, settings: dict[str, Any], seconds: tuple[int, ...]) -> str:
    """Return one line with the rates of each recording and of all, the languages and the starts."""
    errors = total = 0.0
    starts, rates, wrong, hot, began = [], [], 0, 0, time.monotonic()
    for seed, length in enumerate(seconds, FIRST_SEED):
        samples, utterances = speak(language, seed, length)
        result, spoken = transcribe(model, samples, settings), spoken_text(utterances)
        rate, count = word_error_rate(spoken, result["text"]), len(spoken.split())
        errors, total = errors + rate * count, total + count
        rates.append(f"{rate:.3f}")
        wrong += result["language"] != language
        hot += len({s["seek"] for s in result["segments"] if s["temperature"] > 0})
        starts += start_errors(utterances, [s["start"] for s in result["segments"] if s["text"]])
    middle = statistics.median(starts) if starts else float("nan")
    spent = time.monotonic() - began
    return (
        f"WER {errors / total:.4f} ({' '.join(rates)}), {wrong} wrong languages, starts {middle:.3f} s off,"
        f" {hot} windows above temperature 0, {spent:.0f} s"
    )


def main() -> None:
    """Print the scores of the checkpoint."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("checkpoint", type=Path)
    parser.add_argument("--settings", nargs="*", choices=SETTINGS, default=list(SETTINGS))
    parser.add_argument("--seconds", nargs="*", type=int, default=list(SECONDS))
    parser.add_argument("--threads", type=int, default=1)
    asked = parser.parse_args()
    torch.set_num_threads(asked.threads)
    model = whisper.load_model(str(asked.checkpoint), device="cpu")
    for name in asked.settings:
        for language in LANGUAGES:
            print(f"{language} {name}: {score(model, language, SETTINGS[name], tuple(asked.seconds))}", flush=True)
    for kind, samples in (("silence", noise(1, 40.0) * 0), ("noise", noise(1, 40.0)), ("noise", noise(2, 90.0))):
        print(f"{kind}: {transcribe(model, samples, {})['text']!r}", flush=True)


if __name__ == "__main__":
    main()
