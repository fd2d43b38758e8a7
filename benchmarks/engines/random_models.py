"""Make models with random weights and the dimensions of the official models."""

from typing import Any

import torch
from whisper.model import ModelDimensions, Whisper

# mels, audio width, audio heads, audio layers, text layers, vocabulary
SIZES = {
    "tiny": (80, 384, 6, 4, 4, 51865),
    "base": (80, 512, 8, 6, 6, 51865),
    "small": (80, 768, 12, 12, 12, 51865),
    "turbo": (128, 1280, 20, 32, 4, 51866),
    "large-v3": (128, 1280, 20, 32, 32, 51866),
}
AUDIO_CONTEXT = 1500
SEED = 11


def dimensions(size: str, text_context: int) -> Any:
    """Return the ModelDimensions of a size, with a text context of the given length; the official one is 448."""
    mels, width, heads, audio_layers, text_layers, vocabulary = SIZES[size]
    return ModelDimensions(
        mels, AUDIO_CONTEXT, width, heads, audio_layers, vocabulary, text_context, width, heads, text_layers
    )


def random_model(size: str, tokens: int, device: str = "cpu") -> Any:
    """Return a Whisper that gives `tokens` tokens for every window, if `eot` is suppressed.

    whisper.decoding stops after half of n_text_ctx, for every engine of a comparison alike. As in OpenAI's checkpoints every weight
    is a number of half precision.
    """
    torch.manual_seed(SEED)
    with torch.device(device):
        model = Whisper(dimensions(size, 2 * tokens)).eval()
        # The constructor leaves the positions as they were in memory.
        torch.nn.init.normal_(model.decoder.positional_embedding, std=0.02)
        for weight in model.parameters():
            weight.data = weight.data.half().float()
    return model
