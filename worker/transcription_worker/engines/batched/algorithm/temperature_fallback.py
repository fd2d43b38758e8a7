"""One window's text: temperatures in turn until the text passes the thresholds, as in whisper.transcribe."""

from collections.abc import Generator
from dataclasses import dataclass
from typing import Any

from torch import Tensor
from whisper.decoding import DecodingOptions, DecodingResult

from transcription_worker.engines.batched.requests import Ask, Decode, Decoded


@dataclass(frozen=True)
class Attempts:
    """`result`: of the last one. `steps`: tokens that the decoder gave, in all of them."""

    result: DecodingResult
    count: int
    steps: int


@dataclass(frozen=True)
class Thresholds:
    """None: not looked at."""

    compression_ratio: float | None
    logprob: float | None
    no_speech: float | None

    def refuse(self, result: DecodingResult) -> bool:
        """The next temperature is tried."""
        improbable = self.logprob is not None and result.avg_logprob < self.logprob
        if improbable and self.no_speech is not None and result.no_speech_prob > self.no_speech:
            return False  # silence
        return improbable or (self.compression_ratio is not None and result.compression_ratio > self.compression_ratio)

    def silent(self, result: DecodingResult) -> bool:
        """The window is passed over."""
        if self.no_speech is None or result.no_speech_prob <= self.no_speech:
            return False
        return self.logprob is None or result.avg_logprob <= self.logprob


def decode_with_fallback(
    features: Tensor, options: dict[str, Any], temperatures: tuple[float, ...], thresholds: Thresholds, seed: int
) -> Generator[Ask, Any, Attempts]:
    """options: keyword arguments of DecodingOptions but for the temperature. `seed`: of this window."""
    steps = 0
    for count, temperature in enumerate(temperatures, start=1):
        ask = Decode(features, _at(temperature, options), seed + count)
        decoded: Decoded = yield ask
        steps += decoded.steps
        if count == len(temperatures) or not thresholds.refuse(decoded.result):
            return Attempts(decoded.result, count, steps)
    raise ValueError("temperatures: got none, expected at least one")


def _at(temperature: float, options: dict[str, Any]) -> DecodingOptions:
    unused = ("beam_size", "patience") if temperature > 0 else ("best_of",)
    chosen = {name: value for name, value in options.items() if name not in unused}
    # openai-whisper adds to the list that it is given.
    suppressed = list(chosen.pop("suppress_tokens"))
    return DecodingOptions(**chosen, suppress_tokens=suppressed, temperature=temperature)
