"""What a transcription asks of its scheduler, and the responses."""

from collections.abc import Callable, Generator
from dataclasses import dataclass
from typing import Any

from torch import Tensor
from whisper.decoding import DecodingOptions, DecodingResult
from whisper.tokenizer import Tokenizer


@dataclass(frozen=True, eq=False)
class EncodeRequest:
    """A log-mel window, shape (n_mels, 3000). The response is its audio features, shape (1500, width).

    window: computes it. It is called when the window is encoded, again if the memory was not enough for that.
    """

    window: Callable[[], Tensor]


@dataclass(frozen=True, eq=False)
class DetectLanguageRequest:
    """Audio features, shape (1500, width). The response is a LanguageProbabilities."""

    features: Tensor


@dataclass(frozen=True, eq=False)
class DecodeRequest:
    """Audio features and openai-whisper's decoding options. The response is a DecodeResponse.

    seed: seeds the sampling at temperatures above 0.
    """

    features: Tensor
    options: DecodingOptions
    seed: int


@dataclass(frozen=True, eq=False)
class DecodeResponse:
    """The decoded text of a window, and how many decode steps it took."""

    result: DecodingResult
    steps: int


@dataclass(frozen=True, eq=False)
class AlignRequest:
    """Text tokens of a window of `frames` frames of 10 ms. The response is a list of whisper.timing.WordTiming."""

    features: Tensor
    tokens: list[int]
    frames: int
    tokenizer: Tokenizer


@dataclass(frozen=True, eq=False)
class GatherRequest:
    """Run these generators side by side, as asyncio.gather does. The response is the list of their return values, in order."""

    generators: list["RequestGenerator"]


Request = EncodeRequest | DetectLanguageRequest | DecodeRequest | AlignRequest | GatherRequest
# Yields requests, is sent their responses, and returns its result.
RequestGenerator = Generator[Request, Any, Any]
