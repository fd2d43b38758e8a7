"""Measure windows of 30 s a second with random weights and a fixed number of tokens for each, as shares of the roofline too.

Greedy with 100 tokens; five beams with timestamps, the product's default; and MLPerf's shape: greedy, 75 tokens.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import torch
from transcription_api.spec import Decoding
from transcription_worker.engines.batched.engine import BatchedEngine
from transcription_worker.engines.batched.scheduling.capacity import GpuMemory
from transcription_worker.engines.vocabulary import TIMESTAMPS
from whisper.audio import CHUNK_LENGTH

from benchmarks.engines.gpu import EOT, GOALS, engine_seconds, fixed_length_options, noise
from benchmarks.engines.random_models import SIZES, dimensions, random_model
from benchmarks.engines.roofline import measure_device, window_cost
from benchmarks.gpu_check.goals import goal
from benchmarks.gpu_check.parts.options import Run, begin, part_parser

# MLPerf inference v5.1's Whisper gives 75 tokens for a clip; a GPU takes a multiple of 4.
MLPERF_TOKENS = 76
DISTINCT = 64  # windows of noise that are drawn; more are the same again
BEAMS = 5
CONTEXT = 448  # of the official models' text


@dataclass(frozen=True)
class Shape:
    """What is decoded. `computed` names its goal."""

    name: str
    tokens: int
    decoding: Decoding
    computed: str
    beams: int = 1


def main(arguments: Sequence[str] | None = None) -> int:
    """Measure the shapes with one size of model, the one that is worth most first."""
    parser = part_parser(__doc__)
    parser.add_argument("--size", choices=list(SIZES), required=True)
    parser.add_argument("--windows", type=int, default=768)
    parser.add_argument("--tokens", type=int, default=100, help="for each window; a GPU takes a multiple of 4")
    parser.add_argument("--rounds", type=int, default=2)
    run = begin(parser, arguments)
    size, tokens = run.options.size, run.options.tokens
    for shape in shapes(size, tokens, SIZES[size][-1]):
        model = random_model(size, shape.tokens, str(run.device))
        measure(run, model, shape)
        del model
        if run.device.type == "cuda":
            torch.cuda.empty_cache()  # so that the next shape's windows find the memory free
    return 0


def shapes(size: str, tokens: int, vocabulary: int) -> list[Shape]:
    """Return what is measured. MLPerf's is of large-v3 alone; on a CPU it has as few tokens as the others."""
    greedy: dict[str, Any] = {
        "temperatures": (0.0,),
        "beam_size": 1,
        "without_timestamps": True,
        "suppress_tokens": (-1, EOT),
    }
    found = [
        Shape(f"greedy, {tokens} tokens", tokens, Decoding(**greedy), size),
        Shape(f"{BEAMS} beams with timestamps, {tokens} tokens", tokens, with_beams(vocabulary), "", BEAMS),
    ]
    if size != "turbo":
        fewer = min(tokens, MLPERF_TOKENS)
        found.insert(1, Shape(f"MLPerf's shape, {fewer} tokens", fewer, Decoding(**greedy), "mlperf"))
    return found


def with_beams(vocabulary: int) -> Decoding:
    """Return the default's beams and timestamps, with which a window of random weights still ends where the next begins.

    Of the timestamps <|0.00|> alone is left, which begins the text: later ones would end the window anywhere.
    """
    first = vocabulary - TIMESTAMPS
    later = range(first + 1, vocabulary)
    return Decoding(temperatures=(0.0,), suppress_tokens=(-1, EOT, *later))


def batch_of(run: Run, beams: int) -> int | None:
    """Return how many windows the engine decodes together with the official context, although the model has a shorter one."""
    if run.device.type != "cuda":
        return None
    return GpuMemory.of(dimensions(run.options.size, CONTEXT), run.half, run.device).windows(beams)


def measure(run: Run, model: Any, shape: Shape) -> None:
    """Measure one shape, beside the device's own speed in the same process."""
    options, figures = run.options, run.figures
    audio = noise(min(DISTINCT, options.windows))
    audio = (audio * -(-options.windows // len(audio)))[: options.windows]
    engine = BatchedEngine(model, batch=batch_of(run, shape.beams))
    took, memory = engine_seconds(
        engine, audio, run.device, options.rounds, shape.tokens, fixed_length_options(shape.decoding)
    )
    cost = window_cost(model.dims, shape.tokens, engine.batch, run.half.itemsize, shape.beams)
    share = cost.seconds(measure_device(run.device, run.half)) / took
    figures.add(f"{shape.name}, {engine.batch} at a time", 1 / took, "windows/s", goal(run.name, shape.computed))
    figures.add(f"{shape.name}: x real time", CHUNK_LENGTH / took, "x")
    promised = GOALS.get(options.size) if shape.computed == options.size and run.device.type == "cuda" else None
    figures.add(f"{shape.name}: share of the roofline", share, "of 1", promised)
    if memory:
        figures.add(f"{shape.name}: peak memory", memory / 2**30, "GiB")


if __name__ == "__main__":
    raise SystemExit(main())
