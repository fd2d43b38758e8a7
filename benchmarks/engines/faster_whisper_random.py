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
from transcription_worker.engines.checkpoints.checkpoint import Checkpoint
from transcription_worker.engines.faster_whisper.conversion import MAX_LENGTH, write_model
from transcription_worker.engines.protocol import Samples
from whisper.audio import CHUNK_LENGTH, N_FRAMES

BATCHES = (16, 32, 64)
# What stands before a window's text: start, language, task, no timestamps.
PROMPT_TOKENS = 4
# The vocabulary's last tokens, from 0 s to 30 s: at each of them faster-whisper would cut a window's segment in two.
TIMESTAMPS = N_FRAMES // 2 + 1


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
        segments, _ = pipeline.transcribe(
            np.concatenate(windows),
            language="en",
            beam_size=1,
            temperature=0.0,
            suppress_tokens=suppressed,
            # CTranslate2 stops at half of all, the prompt among them, and faster-whisper adds the prompt.
            max_new_tokens=2 * tokens - PROMPT_TOKENS,
            vad_filter=False,
            clip_timestamps=[
                {"start": number * CHUNK_LENGTH, "end": (number + 1) * CHUNK_LENGTH} for number in range(len(windows))
            ],
            batch_size=batch,
        )
        given = [len(segment.tokens) for segment in segments]
        walls.append(time.perf_counter() - began)
        assert given == [tokens] * len(windows), f"tokens of each window: got {given}, wanted {tokens}"
    return walls[-1]
