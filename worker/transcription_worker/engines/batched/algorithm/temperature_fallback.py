"""Decode one window at rising temperatures until its text passes the thresholds: decode_with_fallback of whisper.transcribe."""

import math
from collections.abc import Generator
from dataclasses import dataclass
from typing import Any

from torch import Tensor
from whisper.decoding import DecodingOptions, DecodingResult

from transcription_worker.engines.batched.requests import DecodeRequest, DecodeResponse, Request
from transcription_worker.engines.overflow import NotANumberError


@dataclass(frozen=True)
class FallbackResult:
    """The result of the last attempt. attempts: how many there were. steps: decode steps of all attempts."""

    result: DecodingResult
    attempts: int
    steps: int


@dataclass(frozen=True)
class Thresholds:
    """Thresholds of whisper.transcribe; one that is None does not apply."""

    compression_ratio: float | None
    logprob: float | None
    no_speech: float | None

    def needs_fallback(self, result: DecodingResult) -> bool:
        """Whether to decode again at the next temperature."""
        improbable = self.logprob is not None and result.avg_logprob < self.logprob
        if improbable and self.no_speech is not None and result.no_speech_prob > self.no_speech:
            return False  # silence
        return improbable or (self.compression_ratio is not None and result.compression_ratio > self.compression_ratio)

    def should_skip(self, result: DecodingResult) -> bool:
        """Whether the window counts as silence and has no segments."""
        if self.no_speech is None or result.no_speech_prob <= self.no_speech:
            return False
        return self.logprob is None or result.avg_logprob <= self.logprob


def decode_with_fallback(
    features: Tensor, options: dict[str, Any], temperatures: tuple[float, ...], thresholds: Thresholds, seed: int
) -> Generator[Request, Any, FallbackResult]:
    """Return the first result that passes the thresholds, or that of the last temperature.

    features: of the window, shape (1500, width). options: keyword arguments of DecodingOptions without the temperature.
    seed: of this window; every attempt has its own.

    Raises:
        NotANumberError: the model gives NaN.
    """
    steps = 0
    for attempt, temperature in enumerate(temperatures, start=1):
        request = DecodeRequest(features, _options_at(temperature, options), seed + attempt)
        response: DecodeResponse = yield request
        if math.isnan(response.result.avg_logprob) or math.isnan(response.result.no_speech_prob):
            raise NotANumberError
        steps += response.steps
        if attempt == len(temperatures) or not thresholds.needs_fallback(response.result):
            return FallbackResult(response.result, attempt, steps)
    raise ValueError("temperatures: got none, expected at least one")


def _options_at(temperature: float, options: dict[str, Any]) -> DecodingOptions:
    unused = ("beam_size", "patience") if temperature > 0 else ("best_of",)
    chosen = {name: value for name, value in options.items() if name not in unused}
    # A copy, since openai-whisper appends to the list.
    suppressed = list(chosen.pop("suppress_tokens"))
    return DecodingOptions(**chosen, suppress_tokens=suppressed, temperature=temperature)
