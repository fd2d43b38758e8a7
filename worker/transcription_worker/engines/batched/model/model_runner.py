"""Runs the model for batches of requests; decoding goes through the text decoder's own steps."""

from typing import Any

import torch
from torch import Tensor
from transcription_api.spec import Precision
from whisper.timing import WordTiming
from whisper.tokenizer import get_tokenizer

from transcription_worker.engines.batched.model.alignment import align
from transcription_worker.engines.batched.model.backend import (
    ENCODER_BATCH_CPU,
    ENCODER_BATCH_GPU,
    choose_backend,
    decoder_dtype,
)
from transcription_worker.engines.batched.model.decoder import Decoder
from transcription_worker.engines.batched.model.encoder import Encoder
from transcription_worker.engines.batched.model.int8_linear import quantize_model
from transcription_worker.engines.batched.requests import AlignRequest
from transcription_worker.engines.checkpoints.precision import store
from transcription_worker.engines.memory_steps import MemorySteps
from transcription_worker.engines.spoken_language import LanguageProbabilities

# Windows that are aligned together: each takes (heads, tokens, 1500) scores in float32.
ALIGN_BATCH = 16


class ModelRunner:
    """A model on its device, with the backend chosen for it. Call all methods in torch.inference_mode.

    dtype: the encoder's type; the attribute is the decoder's, see decoder_dtype. precision: int8 and float8 say more than the
    type does; with int8 linear layers of `model` are replaced. encoder_batch: windows that the encoder takes at once.
    attention_context: enter it around everything that computes attention. memory_steps: what was given up where memory ran
    out.
    """

    def __init__(self, model: Any, dtype: torch.dtype, precision: Precision = Precision.AUTO) -> None:
        self.model, self.dtype = model, decoder_dtype(model, dtype)
        self.device = torch.device(model.device)
        store(model.encoder, dtype)
        store(model.decoder, self.dtype)
        if precision is Precision.INT8:
            quantize_model(model)
        backend = choose_backend(model, self.dtype, precision, dtype)
        self.decoder, self._encoder = Decoder(model, self.dtype, backend), Encoder(model, dtype, backend)
        self.attention_context = backend.attention_context
        self.encoder_batch = ENCODER_BATCH_GPU if self.device.type == "cuda" else ENCODER_BATCH_CPU
        self.memory_steps = MemorySteps()
        self._alignment_heads = model.alignment_heads.to_dense().nonzero().T.cpu()
        self._tokenizer = tokenizer = get_tokenizer(model.is_multilingual, num_languages=model.num_languages)
        self.no_speech_token: int = tokenizer.no_speech

    def encode(self, mels: list[Tensor]) -> list[Tensor]:
        """Encode log-mel windows, each (n_mels, 3000). Returns features, each (1500, width)."""
        return list(self._encoder(torch.stack(mels)).to(self.dtype))

    def detect_languages(self, features: list[Tensor]) -> list[LanguageProbabilities]:
        """Language probabilities of windows as in whisper.decoding.detect_language, with the probability of no speech.

        features: each (1500, width).
        """
        codes, tokens = self._tokenizer.all_language_codes, list(self._tokenizer.all_language_tokens)
        sot = torch.full((len(features), 1), self._tokenizer.sot, device=self.device)
        hidden, _ = self.decoder.forward(sot, torch.stack(features), self._alignment_heads[:, :0])
        logits = self.decoder.logits(hidden[:, 0])
        no_speech = logits.softmax(dim=-1)[:, self._tokenizer.no_speech].tolist()
        languages = logits[:, tokens].softmax(dim=-1).tolist()
        return [
            LanguageProbabilities(dict(zip(codes, probabilities, strict=True)), no_speech_prob)
            for probabilities, no_speech_prob in zip(languages, no_speech, strict=True)
        ]

    def align(self, requests: list[AlignRequest]) -> list[list[WordTiming]]:
        """Time the words of windows, ALIGN_BATCH windows at a time."""
        timings: list[list[WordTiming]] = []
        for start in range(0, len(requests), ALIGN_BATCH):
            timings += align(self.decoder, self._alignment_heads, requests[start : start + ALIGN_BATCH])
        return timings
