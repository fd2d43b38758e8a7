"""Compare the engines on a GPU, with random weights and a fixed number of tokens for each window: `make bench-gpu`.

With --device cpu and a small size it runs anywhere, but its numbers then say nothing about a GPU.
"""

import argparse
import importlib.util
import logging
import statistics
import time
from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
import whisper
from transcription_api.spec import Decoding, LanguageDetection, TaskKind
from transcription_worker.engines.batched.engine import BatchedEngine
from transcription_worker.engines.batched.kernels import kernel_trial
from transcription_worker.engines.protocol import InMemory, Input, Options, Samples
from transcription_worker.engines.triton_link import use_prebuilt_link
from transcription_worker.engines.whisper_arguments import transcribe_arguments
from whisper.audio import CHUNK_LENGTH

from benchmarks.engines.half_precision import print_text_agreement
from benchmarks.engines.machine import describe_machine
from benchmarks.engines.random_models import SIZES, random_model
from benchmarks.engines.roofline import Device, measure_device, window_cost
from benchmarks.engines.runners import now

TOKENS = 100
EOT = 50257
# Share of the roofline that the project promises, by size.
GOALS = {"large-v3": 0.6, "turbo": 0.5}


def main() -> int:
    """Run the comparisons; return 0 if every goal for the sizes that ran is reached."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--device", default="cuda")
    parser.add_argument("--size", nargs="+", choices=list(SIZES), default=["large-v3", "turbo"])
    parser.add_argument("--windows", type=int, default=1024, help="of 30 s, one a file")
    parser.add_argument("--reference-windows", type=int, default=6, help="for openai-whisper, one after the other")
    parser.add_argument("--batch", type=int, nargs="+", default=[64, 128])
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--tokens", type=int, default=TOKENS, help="for each window; a GPU takes a multiple of 4")
    chosen = parser.parse_args()
    device = torch.device(chosen.device)
    if device.type == "cuda" and not torch.cuda.is_available():
        raise SystemExit(f"--device: got {chosen.device!r}, but torch sees no CUDA device here")
    logging.basicConfig(format="%(message)s")
    logging.getLogger(kernel_trial.__name__).setLevel(logging.INFO)  # which kernels are taken, and how long each takes
    describe_machine(torch.get_num_threads())
    use_prebuilt_link()
    dtype = torch.float16 if device.type == "cuda" else torch.float32
    measured = measure_device(device, dtype)
    name = torch.cuda.get_device_name(device) if device.type == "cuda" else "CPU"
    print(f"{name}: {measured.flops / 1e12:.1f} TFLOP/s {dtype}, {measured.bandwidth / 1e12:.2f} TB/s")
    kept = [run_size(size, device, measured, chosen) for size in chosen.size]
    print_text_agreement(device)
    return 0 if all(kept) else 1


def run_size(size: str, device: torch.device, measured: Device, chosen: argparse.Namespace) -> bool:
    """Measure one size with every batch size, and compare the best of them with the goal."""
    audio = noise(chosen.windows)
    model = random_model(size, chosen.tokens, str(device))
    reference = reference_seconds(model, audio[: chosen.reference_windows])
    shares, walls = [], []
    print(f"\n{size}: {chosen.windows} windows of 30 s, {chosen.tokens} tokens each, {chosen.rounds} rounds")
    print("| batch | windows/s | x real time | share of the roofline | peak memory | faster than openai-whisper |")
    print("|---|---|---|---|---|---|")
    for batch in chosen.batch:
        engine = BatchedEngine(model, batch=batch)
        took, memory = engine_seconds(engine, audio, device, chosen.rounds, chosen.tokens, greedy_options())
        cost = window_cost(model.dims, chosen.tokens, batch, engine._dtype.itemsize)
        shares.append(cost.seconds(measured) / took)
        walls.append(took)
        print(
            f"| {batch} | {1 / took:.1f} | {CHUNK_LENGTH / took:.0f} | {shares[-1]:.0%} "
            f"| {memory / 2**30:.1f} GiB | {reference / took:.1f} |"
        )
        del engine
        if device.type == "cuda":
            torch.cuda.empty_cache()  # for the next one, and for CTranslate2
    print_faster(model, audio, chosen.tokens, min(walls))
    return max(shares) >= GOALS.get(size, 0.0)


def print_faster(model: Any, audio: Sequence[Samples], tokens: int, ours: float) -> None:
    """Print how much quicker than faster-whisper our best batch was, if that is installed."""
    if importlib.util.find_spec("faster_whisper") is None:
        print("faster-whisper is not installed")
        return
    from benchmarks.engines.faster_whisper_random import faster_seconds

    theirs, batch = faster_seconds(model, audio, tokens, EOT)
    print(f"faster-whisper, batches of {batch}: {1 / theirs:.1f} windows/s, ours is {theirs / ours:.2f} times as fast")


def noise(windows: int) -> list[Samples]:
    chance = np.random.default_rng(3)
    return [chance.normal(0, 0.05, round(CHUNK_LENGTH * 16_000)).astype(np.float32) for _ in range(windows)]


def greedy_options() -> Options:
    """Return greedy options with which no token ends the text and none is a timestamp."""
    return fixed_length_options(
        Decoding(temperatures=(0.0,), beam_size=1, suppress_tokens=(-1, EOT), without_timestamps=True)
    )


def fixed_length_options(decoding: Decoding) -> Options:
    """Return the options of a text in English, whose length the model alone limits."""
    return Options(TaskKind.TRANSCRIBE, "en", decoding, LanguageDetection(windows=1))


def engine_seconds(
    engine: BatchedEngine, audio: Sequence[Samples], device: torch.device, rounds: int, tokens: int, options: Options
) -> tuple[float, int]:
    """Return the seconds per window, as the median of the rounds after a warm-up, and the peak memory in bytes.

    The warm-up is of as many windows as are decoded together. CUDA graphs are captured anew in each round, as in each pod.
    """
    if device.type == "cuda":
        torch.cuda.reset_peak_memory_stats(device)
    walls = []
    for windows in (audio[: engine.batch], *[audio] * rounds):
        began = now(device)
        for outcome in engine.transcribe(inputs_of(windows, options)):
            steps = outcome.value().counters.steps
            assert steps == tokens, f"tokens of a window: got {steps}, wanted {tokens}"
        walls.append(now(device) - began)
    peak = torch.cuda.max_memory_allocated(device) if device.type == "cuda" else 0
    return statistics.median(walls[1:]) / len(audio), peak


def inputs_of(audio: Sequence[Samples], options: Options) -> list[Input]:
    """Return an input for each recording."""
    return [Input(str(number), lambda one=one: InMemory(one), options) for number, one in enumerate(audio)]  # type: ignore[misc]


def reference_seconds(model: Any, audio: Sequence[Samples]) -> float:
    """Return the seconds per window of openai-whisper's transcribe; the first file is the warm-up."""
    device = torch.device(model.device)
    arguments = transcribe_arguments(greedy_options(), half=device.type == "cuda")
    took = []
    for samples in [audio[0], *audio]:
        began = time.perf_counter()
        whisper.transcribe(model, samples, **arguments)
        took.append(now(device) - began)
    return statistics.median(took[1:])


if __name__ == "__main__":
    raise SystemExit(main())
