"""Measure the same audio on the GPU and on the machine's CPU, by the same engine."""

from collections.abc import Sequence

import torch
from transcription_worker.engines.batched.engine import BatchedEngine
from transcription_worker.threads import observed_thread_count

from benchmarks.engines.gpu import engine_seconds, greedy_options, noise
from benchmarks.engines.random_models import SIZES, random_model
from benchmarks.gpu_check.parts.options import begin, part_parser


def main(arguments: Sequence[str] | None = None) -> int:
    """Measure the device first, and then the CPU in float32 with all cores."""
    parser = part_parser(__doc__)
    parser.add_argument("--size", choices=list(SIZES), required=True)
    parser.add_argument("--windows", type=int, default=64)
    parser.add_argument("--cpu-windows", type=int, default=16, help="of these, on the CPU")
    parser.add_argument("--tokens", type=int, default=100, help="for each window; a GPU takes a multiple of 4")
    run = begin(parser, arguments)
    threads = observed_thread_count()
    torch.set_num_threads(threads)
    audio, speeds = noise(run.options.windows), []
    alone = audio[: run.options.cpu_windows]
    for device, name, some in ((run.device, run.name, audio), (torch.device("cpu"), f"CPU, {threads} threads", alone)):
        engine = BatchedEngine(random_model(run.options.size, run.options.tokens, str(device)))
        took, _ = engine_seconds(engine, some, device, 1, run.options.tokens, greedy_options())
        run.figures.add(f"{run.options.size} on {name}", 1 / took, "windows/s")
        speeds.append(1 / took)
    run.figures.add(f"{run.name} over the CPU", speeds[0] / speeds[1], "x")
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
