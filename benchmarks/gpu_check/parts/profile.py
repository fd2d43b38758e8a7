"""Measure what a window's time is made of: the encoder, the prompt and the decode steps, and the kernels that take most of it.

Random weights; each is measured alone, with nothing to wait for, so that what a whole run takes beyond their sum is the host's.
"""

from collections.abc import Callable, Sequence
from typing import Any

import torch
from torch.profiler import ProfilerActivity, profile
from transcription_worker.engines.batched.model.model_runner import ModelRunner
from transcription_worker.engines.batched.requests import DecodeRequest
from transcription_worker.engines.batched.scheduling.decode_batch import DecodeBatch, PreparedRequest, prepare_request
from transcription_worker.engines.checkpoints.precision import store
from whisper.audio import N_FRAMES
from whisper.decoding import DecodingOptions

from benchmarks.engines.gpu import EOT
from benchmarks.engines.random_models import SIZES, random_model
from benchmarks.engines.runners import now
from benchmarks.gpu_check.parts.options import Run, begin, part_parser

ROUNDS = 3
# Kernels that are printed, and characters of a kernel's name.
KERNELS, NAME = 12, 90
# Steps that are timed together.
STEPS = 24


def main(arguments: Sequence[str] | None = None) -> int:
    """Measure the encoder, then greedy decoding, then five beams."""
    parser = part_parser(__doc__)
    parser.add_argument("--size", choices=list(SIZES), required=True)
    parser.add_argument("--tokens", type=int, default=100, help="the context's half")
    parser.add_argument("--slots", type=int, default=192, help="windows that are decoded together")
    run = begin(parser, arguments)
    model = random_model(run.options.size, run.options.tokens, str(run.device))
    store(model, run.half)
    runner = ModelRunner(model, run.half)
    with torch.inference_mode(), runner.attention_context():
        measure_encoder(run, runner)
        for beams in (1, 5):
            measure_decoding(run, runner, beams, max(1, run.options.slots // (1 if beams == 1 else 2)))
    return 0


def measure_encoder(run: Run, runner: ModelRunner) -> None:
    """Add the milliseconds of a window in the encoder's batch."""
    shape, count = (runner.model.dims.n_mels, N_FRAMES), runner.encoder_batch
    mels = [torch.randn(shape, dtype=run.half, device=run.device) for _ in range(count)]
    took = best_seconds(run, lambda: runner.encode(mels))
    run.figures.add(f"{run.options.size}, encoder, {count} at a time", took / count * 1000, "ms a window")
    print_kernels(run, lambda: runner.encode(mels))


def measure_decoding(run: Run, runner: ModelRunner, beams: int, slots: int) -> None:
    """Add the milliseconds of a window's prompt and of a step, with so many beams."""
    name = f"{run.options.size}, {'greedy' if beams == 1 else f'{beams} beams'}"
    requests = [request(runner, beams, number) for number in range(runner.encoder_batch)]
    batch: DecodeBatch[None] = DecodeBatch(runner, requests[0].key, slots)
    admitted = []
    while batch.free_slots:
        some = [(one, None) for one in requests[: batch.free_slots]]
        began = now(run.device)
        batch.admit(some)
        admitted.append((now(run.device) - began) / len(some))
    run.figures.add(f"{name}: prompt, {len(requests)} at a time", min(admitted) * 1000, "ms a window")
    batch.launch(3)
    steps = min(STEPS, run.options.tokens - 3)
    began = now(run.device)
    batch.launch(steps)
    took = (now(run.device) - began) / steps
    run.figures.add(f"{name}: a step of {slots} windows", took * 1000, "ms")
    run.figures.add(f"{name}: {run.options.tokens} steps", took * 1000 * run.options.tokens / slots, "ms a window")
    print_kernels(run, lambda: batch.launch(2))


def request(runner: ModelRunner, beams: int, seed: int) -> PreparedRequest:
    """Return a window of noise that never ends its text."""
    dims = runner.model.dims
    features = torch.randn(dims.n_audio_ctx, dims.n_audio_state, dtype=runner.dtype, device=runner.device)
    options = DecodingOptions(
        language="en",
        beam_size=beams if beams > 1 else None,
        without_timestamps=True,
        suppress_tokens=[-1, EOT],
        fp16=runner.dtype is torch.float16,
    )
    return prepare_request(runner.model, DecodeRequest(features, options, seed))


def best_seconds(run: Run, action: Callable[[], Any]) -> float:
    """Return the seconds of the quickest of some runs, after one that is not measured."""
    action()
    walls = []
    for _ in range(ROUNDS):
        began = now(run.device)
        action()
        walls.append(now(run.device) - began)
    return min(walls)


def print_kernels(run: Run, action: Callable[[], Any]) -> None:
    """Print the kernels that take most of the device's time, and their share of the wall clock."""
    on_gpu = run.device.type == "cuda"
    with profile(activities=[ProfilerActivity.CUDA if on_gpu else ProfilerActivity.CPU]) as found:
        began = now(run.device)
        action()
        wall = now(run.device) - began
    rows = [
        (one.self_device_time_total if on_gpu else one.self_cpu_time_total, one.count, one.key)
        for one in found.key_averages()
    ]
    whole = max(1.0, sum(took for took, _, _ in rows))
    print(f"kernels: {whole / 1000:.1f} ms of {wall * 1000:.1f} ms")
    for took, count, name in sorted(rows, reverse=True)[:KERNELS]:
        print(f"  {took / whole:5.1%} {took / max(1, count):8.1f} µs x {count:5}  {name[:NAME]}")


if __name__ == "__main__":
    raise SystemExit(main())
