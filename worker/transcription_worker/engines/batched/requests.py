"""What a stream asks of the engine, and what it gets."""

from collections.abc import Generator
from dataclasses import dataclass
from typing import Any

from torch import Tensor
from whisper.decoding import DecodingOptions, DecodingResult
from whisper.tokenizer import Tokenizer


@dataclass(frozen=True, eq=False)
class Encode:
    """A window of log-mel, shape (n_mels, 3000); answered with its features, shape (1500, width)."""

    mel: Tensor


@dataclass(frozen=True, eq=False)
class Languages:
    """Features; answered with LanguageProbabilities."""

    features: Tensor


@dataclass(frozen=True, eq=False)
class Decode:
    """Features and openai-whisper's own options; answered with Decoded. `seed` is of the sampling above temperature 0."""

    features: Tensor
    options: DecodingOptions
    seed: int


@dataclass(frozen=True, eq=False)
class Decoded:
    """`steps`: tokens that the decoder was asked for."""

    result: DecodingResult
    steps: int


@dataclass(frozen=True, eq=False)
class Align:
    """Text tokens of a window of `frames` frames; answered with a list of whisper.timing.WordTiming."""

    features: Tensor
    tokens: list[int]
    frames: int
    tokenizer: Tokenizer


@dataclass(frozen=True, eq=False)
class Together:
    """Streams to run side by side; answered with the list of what they return."""

    streams: list["Stream"]


Ask = Encode | Languages | Decode | Align | Together
Stream = Generator[Ask, Any, Any]
