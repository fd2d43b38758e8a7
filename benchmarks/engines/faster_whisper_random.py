"""Run faster-whisper with random weights and a fixed number of tokens for each window, beside the batched engine."""

import dataclasses
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import faster_whisper
import numpy as np
import torch
from faster_whisper.audio import decode_audio
from transcription_worker.engines.checkpoints.checkpoint import Checkpoint
from transcription_worker.engines.faster_whisper.conversion import MAX_LENGTH, write_model
from transcription_worker.engines.protocol import Samples
from whisper.audio import CHUNK_LENGTH, N_FRAMES

from benchmarks.engines.corpus import Recording
from benchmarks.engines.random_models import random_model
from benchmarks.engines.runners import Measurement

BATCHES = (16, 32, 64)
# What stands before a window's text: start, language, task, no timestamps.
PROMPT_TOKENS = 4
# The vocabulary's last tokens, from 0 s to 30 s: at each of them faster-whisper would cut a window's segment in two.
TIMESTAMPS = N_FRAMES // 2 + 1
EOT = 50257
# Noise is transcribed whatever it is worth, and each window alone.
ONE_BY_ONE = {"condition_on_previous_text": False, "no_speech_threshold": None, "log_prob_threshold": None}


def faster_seconds(model: Any, windows: Sequence[Samples], tokens: int, eot: int) -> tuple[float, int]:
    """Return faster-whisper's seconds per window of 30 s, and the batch size that was quickest.

    Its own pipeline transcribes all windows as one recording, in float16 on a GPU and float32 on a CPU. Every batch size
    is run twice, and the second time counts.
    """
    device = torch.device(model.device).type
    with tempfile.TemporaryDirectory() as folder:
        write_model(_checkpoint(model), None, Path(folder))
        kind = "float16" if device == "cuda" else "float32"
        pipeline = faster_whisper.BatchedInferencePipeline(
            faster_whisper.WhisperModel(folder, device=device, compute_type=kind)
        )
        suppressed = [-1, eot, *range(model.dims.n_vocab - TIMESTAMPS, model.dims.n_vocab)]
        took = {batch: _seconds(pipeline, windows, tokens, suppressed, batch) for batch in BATCHES}
    quickest = min(took, key=lambda batch: took[batch])
    return took[quickest] / len(windows), quickest


def _checkpoint(model: Any) -> Checkpoint:
    """Return the model with as many positions as CTranslate2's context; those past the model's own are never used."""
    tensors = {name: tensor.detach().cpu() for name, tensor in model.state_dict().items()}
    positions = tensors["decoder.positional_embedding"]
    more = positions.new_zeros(MAX_LENGTH - positions.shape[0], positions.shape[1])
    tensors["decoder.positional_embedding"] = torch.cat([positions, more])
    return Checkpoint(dataclasses.replace(model.dims, n_text_ctx=MAX_LENGTH), tensors)


def _seconds(pipeline: Any, windows: Sequence[Samples], tokens: int, suppressed: list[int], batch: int) -> float:
    walls = []
    for _ in range(2):
        began = time.perf_counter()
        given = _token_counts(pipeline, windows, tokens, suppressed, {"vad_filter": False, "batch_size": batch})
        walls.append(time.perf_counter() - began)
        assert given == [tokens] * len(windows), f"tokens of each window: got {given}, wanted {tokens}"
    return walls[-1]


def _token_counts(
    engine: Any, windows: Sequence[Samples], tokens: int, suppressed: list[int], arguments: dict[str, Any]
) -> list[int]:
    """Return how many tokens each window has. engine: a WhisperModel or its BatchedInferencePipeline."""
    if "batch_size" in arguments:
        arguments["clip_timestamps"] = [
            {"start": number * CHUNK_LENGTH, "end": (number + 1) * CHUNK_LENGTH} for number in range(len(windows))
        ]
    segments, _ = engine.transcribe(
        np.concatenate(windows),
        language="en",
        beam_size=1,
        temperature=0.0,
        suppress_tokens=suppressed,
        without_timestamps=True,
        # CTranslate2 stops at half of all, the prompt among them, and faster-whisper adds the prompt.
        max_new_tokens=2 * tokens - PROMPT_TOKENS,
        **arguments,
    )
    return [len(segment.tokens) for segment in segments]


class RandomFasterWhisperRunner:
    """Runs faster-whisper with random weights of a size, in int8: a batch of windows at a time, or with 0 one by one."""

    def __init__(self, size: str, tokens: int, threads: int, batch: int) -> None:
        model = random_model(size, tokens)
        self._tokens, self._batch = tokens, batch
        self._suppressed = [-1, EOT, *range(model.dims.n_vocab - TIMESTAMPS, model.dims.n_vocab)]
        with tempfile.TemporaryDirectory() as folder:
            write_model(_checkpoint(model), None, Path(folder))
            self._model = faster_whisper.WhisperModel(
                folder, device="cpu", compute_type="int8", cpu_threads=threads, num_workers=1
            )
        self.name = f"faster-whisper, {f'batches of {batch}' if batch else 'sequential'}, int8"

    def run(self, recordings: Sequence[Recording]) -> Measurement:
        """See `Runner.run`. There is no text: the tokens are counted as they are decoded, since they may spell nothing."""
        windows = [decode_audio(str(one.path)) for one in recordings]
        pipeline = faster_whisper.BatchedInferencePipeline(self._model)
        arguments: dict[str, Any] = (
            {"vad_filter": False, "batch_size": self._batch} if self._batch else dict(ONE_BY_ONE)
        )
        counted: list[int] = []
        decode_one, decode_many = self._model.generate_with_fallback, pipeline.generate_segment_batched

        def one(*given: Any, **options: Any) -> Any:
            decoded = decode_one(*given, **options)
            counted.append(len(decoded[0].sequences_ids[0]))
            return decoded

        def many(*given: Any, **options: Any) -> Any:
            encoded, outputs = decode_many(*given, **options)
            counted.extend(len(output["tokens"]) for output in outputs)
            return encoded, outputs

        self._model.generate_with_fallback, pipeline.generate_segment_batched = one, many
        try:
            began = time.perf_counter()
            _token_counts(pipeline if self._batch else self._model, windows, self._tokens, self._suppressed, arguments)
            wall = time.perf_counter() - began
        finally:
            del self._model.generate_with_fallback
        assert counted == [self._tokens] * len(windows), f"tokens of each window: got {counted}, wanted {self._tokens}"
        return Measurement(wall, wall, [""] * len(windows))
