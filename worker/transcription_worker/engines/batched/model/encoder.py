"""openai-whisper's audio encoder, its own modules in its own order: only sums and norms are ours, and where they lie in memory."""

from typing import Any

import torch
from torch import Tensor
from torch.nn.functional import gelu

from transcription_worker.engines.batched.model.backend import Ways
from transcription_worker.engines.batched.model.layer_norm import normed


class Encoder:
    """Of a whisper.model.Whisper."""

    def __init__(self, model: Any, dtype: torch.dtype, ways: Ways) -> None:
        self._audio, self._dtype, self._ways = model.encoder, dtype, ways
        self._blocks = list(model.encoder.blocks)
        # The norm that follows each block: that of the next one, or the last.
        self._following = [block.attn_ln for block in self._blocks[1:]] + [model.encoder.ln_post]

    def __call__(self, mels: Tensor) -> Tensor:
        """Windows of log-mel, (windows, n_mels, 3000), to features, (windows, n_audio_ctx, width)."""
        audio = self._audio
        heard = gelu(audio.conv2(gelu(audio.conv1(mels.to(self._dtype)))))
        # In rows of a place each: the library goes on with columns, which every sum then reads across.
        hidden = (heard.transpose(1, 2) + audio.positional_embedding).to(self._dtype).contiguous()
        norm = normed(self._blocks[0].attn_ln, hidden)
        with self._ways.encoding():
            for block, following in zip(self._blocks, self._following, strict=True):
                hidden, norm = self._ways.add_and_norm(hidden, block.attn(norm)[0], block.mlp_ln)
                hidden, norm = self._ways.add_and_norm(hidden, block.mlp(norm), following)
        return norm
