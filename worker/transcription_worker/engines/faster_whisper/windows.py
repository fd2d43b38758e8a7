"""What faster-whisper decodes of each window: counted, refused where it is NaN, and mended where it would never end."""

import contextlib
import math
from collections.abc import Iterator
from dataclasses import dataclass
from types import SimpleNamespace
from typing import Any

from transcription_worker.engines.overflow import NotANumberError, confirm
from transcription_worker.engines.standstill import drop_standstill, hold_last_word


@dataclass
class Tally:
    """protocol.Counters while they are counted."""

    windows: int = 0
    steps: int = 0
    fallbacks: int = 0


@contextlib.contextmanager
def observe_windows(model: Any, pipeline: Any, temperatures: tuple[float, ...], precision: str) -> Iterator[Tally]:
    """Wrap the methods that decode, for one transcription at a time.

    Args:
        model: The faster_whisper.WhisperModel.
        pipeline: Its BatchedInferencePipeline.
        temperatures: Those that are tried, to count fallbacks.
        precision: What the model computes in, for messages.
    """
    tally = Tally()
    decode_one, decode_many = model.generate_with_fallback, pipeline.generate_segment_batched
    add_word_timestamps = model.add_word_timestamps

    def one(encoded: Any, prompt: Any, tokenizer: Any, options: Any) -> Any:
        result, avg_logprob, temperature, ratio = confirm(
            lambda: _checked_window(decode_one(encoded, prompt, tokenizer, options)), precision
        )
        tally.windows += 1
        tally.steps += len(result.sequences_ids[0])
        tally.fallbacks += temperatures.index(temperature)
        return _moving_on(result, tokenizer.timestamp_begin), avg_logprob, temperature, ratio

    def many(features: Any, *args: Any, **options: Any) -> Any:
        encoded, outputs = confirm(lambda: _checked_chunks(decode_many(features, *args, **options)), precision)
        tally.windows += len(outputs)
        tally.steps += sum(len(output["tokens"]) for output in outputs)
        return encoded, outputs

    def add_words(windows: list[list[dict[str, Any]]], *args: Any, **options: Any) -> Any:
        result = add_word_timestamps(windows, *args, **options)
        for segments in windows:
            frame = segments[0]["seek"]
            hold_last_word(segments, frame, frame * model.feature_extractor.time_per_frame)
        return result

    model.generate_with_fallback, pipeline.generate_segment_batched = one, many
    model.add_word_timestamps = add_words
    try:
        yield tally
    finally:
        del model.generate_with_fallback, pipeline.generate_segment_batched, model.add_word_timestamps


def _checked_window(decoded: Any) -> Any:
    """Return what WhisperModel.generate_with_fallback gave, unless it is NaN."""
    result, avg_logprob, *_ = decoded
    if math.isnan(avg_logprob) or math.isnan(result.no_speech_prob):
        raise NotANumberError
    return decoded


def _checked_chunks(decoded: Any) -> Any:
    """Return what BatchedInferencePipeline.generate_segment_batched gave, unless it is NaN."""
    if any(math.isnan(output["avg_logprob"]) or math.isnan(output["no_speech_prob"]) for output in decoded[1]):
        raise NotANumberError
    return decoded


def _moving_on(result: Any, timestamp_begin: int) -> Any:
    """The result of a window without timestamps that leave the next window where this one is."""
    tokens = list(result.sequences_ids[0])
    moving = drop_standstill(tokens, timestamp_begin)
    return result if moving == tokens else SimpleNamespace(sequences_ids=[moving], no_speech_prob=result.no_speech_prob)
