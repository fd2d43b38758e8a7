"""What a stream asks of the engine, and what it gets."""

from collections.abc import Generator
from dataclasses import dataclass
from typing import Any

import torch
from whisper.decoding import DecodingOptions, DecodingResult


@dataclass(frozen=True, eq=False)
class Encode:
    """A window of log-mel, shape (n_mels, 3000); answered with its features, shape (1500, width)."""

    mel: torch.Tensor


@dataclass(frozen=True, eq=False)
class Languages:
    """Features; answered with the probability of each language code."""

    features: torch.Tensor


@dataclass(frozen=True, eq=False)
class Decode:
    """Features and openai-whisper's own options; answered with Decoded. `seed` is of the sampling above temperature 0."""

    features: torch.Tensor
    options: DecodingOptions
    seed: int


@dataclass(frozen=True, eq=False)
class Decoded:
    """`steps`: tokens that the decoder was asked for."""

    result: DecodingResult
    steps: int


@dataclass(frozen=True, eq=False)
class Together:
    """Streams to run side by side; answered with the list of what they return."""

    streams: list["Stream"]


Ask = Encode | Languages | Decode | Together
Stream = Generator[Ask, Any, Any]
