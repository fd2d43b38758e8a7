"""The models on which the batched engine must equal openai-whisper, with the inputs of each."""

import hashlib
from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import torch
import whisper
from transcription_worker.engines.openai_whisper.engine import OpenAIWhisper
from transcription_worker.engines.protocol import Transcript

from tests.support.engine_cases import Case, all_cases, transcripts
from tests.support.real_model_cases import real_model_cases
from tests.support.realmodel import load_real_model
from tests.support.testmodel import model_path


@dataclass(frozen=True)
class ParitySuite:
    """A model and its cases.

    `steps` has for each batch size every how many cases run with it, since small batches take long, and less can go wrong in
    them. `step` is the same for what is not about batches.
    """

    load: Callable[[], Any]
    make_cases: Callable[[], list[Case]]
    steps: dict[int, int]
    step: int

    @cached_property
    def cases(self) -> list[Case]:
        return self.make_cases()

    def expected(self) -> dict[str, Transcript]:
        """Return openai-whisper's own transcripts, made one file after the other."""
        model = self.load()
        encode_once(model.encoder)
        return transcripts(OpenAIWhisper(model), self.cases)


def encode_once(encoder: Any) -> None:
    """Have the encoder compute each window once: many cases are of the same audio, and for words a window is encoded again."""
    encode, known = encoder.forward, dict[bytes, torch.Tensor]()

    def forward(mel: torch.Tensor) -> torch.Tensor:
        key = hashlib.sha256(mel.numpy().tobytes()).digest()
        if key not in known:
            known[key] = encode(mel)
        return known[key]

    encoder.forward = forward


TEST_MODEL = ParitySuite(
    lambda: whisper.load_model(str(model_path()), device="cpu"), all_cases, steps={1: 4, 3: 2, 8: 1}, step=1
)
# Whisper's tiny.en has nine times the weights.
REAL_MODEL = ParitySuite(load_real_model, real_model_cases, steps={1: 20, 3: 10, 8: 1}, step=16)
