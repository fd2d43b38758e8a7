"""What the model computes for many windows at once, but for the decoding of text."""

from typing import Any

import torch
from torch import Tensor
from whisper.timing import WordTiming
from whisper.tokenizer import get_tokenizer

from transcription_worker.engines.batched.model.alignment import align
from transcription_worker.engines.batched.model.backend import ENCODER_BATCH_CPU, ENCODER_BATCH_GPU, choose_ways
from transcription_worker.engines.batched.model.decoder import Decoder
from transcription_worker.engines.batched.model.encoder import Encoder
from transcription_worker.engines.batched.requests import Align
from transcription_worker.engines.spoken_language import LanguageProbabilities

# Windows in one alignment: its scores take (heads, tokens, 1500) float32 for each.
ALIGNED = 16


class Compute:
    """The model with its decoder over caches. Everything runs without gradients."""

    def __init__(self, model: Any, dtype: torch.dtype) -> None:
        self.model, self.dtype = model, dtype
        self.device = torch.device(model.device)
        ways = choose_ways(model, dtype)
        self.decoder, self._encoder = Decoder(model, dtype, ways), Encoder(model, dtype, ways)
        self.attending = ways.attending
        self.encoded_at_once = ENCODER_BATCH_GPU if self.device.type == "cuda" else ENCODER_BATCH_CPU
        self._heads = model.alignment_heads.to_dense().nonzero().T.cpu()
        self._tokenizer = tokenizer = get_tokenizer(model.is_multilingual, num_languages=model.num_languages)
        self.no_speech_token: int = tokenizer.no_speech

    def encode(self, mels: list[Tensor]) -> list[Tensor]:
        """Features of windows of log-mel, each of shape (1500, width)."""
        return list(self._encoder(torch.stack(mels)))

    def hear(self, features: list[Tensor]) -> list[LanguageProbabilities]:
        """Languages of windows: whisper.decoding.detect_language, and the probability of no speech beside it."""
        codes, tokens = self._tokenizer.all_language_codes, list(self._tokenizer.all_language_tokens)
        start = torch.full((len(features), 1), self._tokenizer.sot, device=self.device)
        hidden, _ = self.decoder.attend(start, torch.stack(features), self._heads[:, :0])
        logits = self.decoder.logits(hidden[:, 0])
        silence = logits.softmax(dim=-1)[:, self._tokenizer.no_speech].tolist()
        languages = logits[:, tokens].softmax(dim=-1).tolist()
        return [
            LanguageProbabilities(dict(zip(codes, chances, strict=True)), no_speech)
            for chances, no_speech in zip(languages, silence, strict=True)
        ]

    def align(self, asks: list[Align]) -> list[list[WordTiming]]:
        """Times of words."""
        return [found for start in range(0, len(asks), ALIGNED) for found in self._align(asks[start : start + ALIGNED])]

    def _align(self, asks: list[Align]) -> list[list[WordTiming]]:
        return align(self.decoder, self._heads, asks)
