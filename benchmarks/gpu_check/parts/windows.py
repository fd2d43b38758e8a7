"""Measure windows of 30 s a second with random weights and a fixed number of tokens for each, as shares of the roofline too.

Greedy with 100 tokens; five beams with timestamps, the product's default; and MLPerf's shape: greedy, 75 tokens. In float8
MLPerf's shape is left out.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import torch
from transcription_api.choices import FLOAT8_CAPABILITY
from transcription_api.spec import Decoding, Precision
from transcription_worker.engines.batched.engine import BatchedEngine
from transcription_worker.engines.batched.scheduling.capacity import GpuMemory
from transcription_worker.engines.vocabulary import TIMESTAMPS
from whisper.audio import CHUNK_LENGTH

from benchmarks.engines.gpu import EOT, GOALS, engine_seconds, fixed_length_options, noise
from benchmarks.engines.random_models import SIZES, dimensions, random_model
from benchmarks.engines.roofline import measure_device, window_cost
from benchmarks.gpu_check.goals import goal
from benchmarks.gpu_check.parts.options import Run, begin, part_parser, skip

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
    parser.add_argument("--precision", choices=(Precision.AUTO.value, Precision.FLOAT8.value), default="auto")
    run = begin(parser, arguments)
    size, tokens = run.options.size, run.options.tokens
    if run.device.type == "cuda" and has_float8(run) and torch.cuda.get_device_capability() < FLOAT8_CAPABILITY:
        raise skip(f"{run.name} has no numbers of 8 bits")
    for shape in shapes(size, tokens, SIZES[size][-1], has_float8(run)):
        model = random_model(size, shape.tokens, str(run.device))
        measure(run, model, shape)
        del model
        if run.device.type == "cuda":
            torch.cuda.empty_cache()  # so that the next shape's windows find the memory free
    return 0


def has_float8(run: Run) -> bool:
    """Whether keys and values of the audio have 8 bits."""
    return bool(run.options.precision == Precision.FLOAT8.value)


def shapes(size: str, tokens: int, vocabulary: int, in_float8: bool) -> list[Shape]:
    """Return what is measured. MLPerf's is of large-v3 alone; on a CPU it has as few tokens as the others.

    in_float8: in float8, of which nothing is promised.
    """
    greedy: dict[str, Any] = {
        "temperatures": (0.0,),
        "beam_size": 1,
        "without_timestamps": True,
        "suppress_tokens": (-1, EOT),
    }
    found = [
        Shape(f"greedy, {tokens} tokens", tokens, Decoding(**greedy), "" if in_float8 else size),
        Shape(f"{BEAMS} beams with timestamps, {tokens} tokens", tokens, with_beams(vocabulary), "", BEAMS),
    ]
    if size != "turbo" and not in_float8:
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
    precision = Precision(run.options.precision)
    return GpuMemory.of(dimensions(run.options.size, CONTEXT), run.half, run.device, precision).windows(beams)


def measure(run: Run, model: Any, shape: Shape) -> None:
    """Measure one shape, beside the device's own speed in the same process."""
    options, figures = run.options, run.figures
    audio = noise(min(DISTINCT, options.windows))
    audio = (audio * -(-options.windows // len(audio)))[: options.windows]
    engine = BatchedEngine(model, Precision(options.precision), batch_of(run, shape.beams))
    took, memory = engine_seconds(
        engine, audio, run.device, options.rounds, shape.tokens, fixed_length_options(shape.decoding)
    )
    audio_itemsize = 1 if has_float8(run) else None
    cost = window_cost(model.dims, shape.tokens, engine.batch, run.half.itemsize, shape.beams, audio_itemsize)
    share = cost.seconds(measure_device(run.device, run.half)) / took
    name = f"float8, {shape.name}" if has_float8(run) else shape.name
    figures.add(f"{name}, {engine.batch} at a time", 1 / took, "windows/s", goal(run.name, shape.computed))
    figures.add(f"{name}: x real time", CHUNK_LENGTH / took, "x")
    promised = GOALS.get(options.size) if shape.computed == options.size and run.device.type == "cuda" else None
    figures.add(f"{name}: share of the roofline", share, "of 1", promised)
    if memory:
        figures.add(f"{name}: peak memory", memory / 2**30, "GiB")


if __name__ == "__main__":
    raise SystemExit(main())
