"""openai-whisper's audio encoder, in a memory layout that is read faster, with sums and norms by the backend."""

from typing import Any

import torch
from torch import Tensor
from torch.nn.functional import gelu

from transcription_worker.engines.batched.model.backend import Backend
from transcription_worker.engines.batched.model.layer_norm import layer_norm_float32


class Encoder:
    """The audio encoder of a whisper.model.Whisper."""

    def __init__(self, model: Any, dtype: torch.dtype, backend: Backend) -> None:
        self._audio, self._dtype, self._backend = model.encoder, dtype, backend
        self._blocks = list(model.encoder.blocks)
        self._attention = [backend.encoder_attention(block.attn, dtype) for block in self._blocks]
        self._mlp = [backend.encoder_mlp(block.mlp) for block in self._blocks]
        # The norm after each layer: the next layer's first, or the encoder's last.
        self._next_norms = [block.attn_ln for block in self._blocks[1:]] + [model.encoder.ln_post]

    def __call__(self, mels: Tensor) -> Tensor:
        """Encode log-mel windows, (windows, n_mels, 3000). Returns features, (windows, n_audio_ctx, width)."""
        audio = self._audio
        convolved = gelu(audio.conv2(gelu(audio.conv1(mels.to(self._dtype)))))
        # Contiguous in rows of one position: openai-whisper goes on with columns, and every sum reads across them.
        hidden = (convolved.transpose(1, 2) + audio.positional_embedding).to(self._dtype).contiguous()
        norm = layer_norm_float32(self._blocks[0].attn_ln, hidden)
        with self._backend.encoder_context():
            for layer, block in enumerate(self._blocks):
                hidden, norm = self._backend.add_and_norm(hidden, self._attention[layer](norm), block.mlp_ln)
                hidden, norm = self._backend.add_and_norm(hidden, self._mlp[layer](norm), self._next_norms[layer])
        return norm
