"""Define the model in training: openai-whisper's own modules with an output layer over the tokens that are in use."""

import math
from pathlib import Path

import torch
from torch import Tensor
from torch.nn import functional
from whisper.model import ModelDimensions, Whisper, sinusoids

from hack.testmodel.clips import Clips
from hack.testmodel.windows import tokenizer_of
from tests.support.sentences import LANGUAGES

DIMENSIONS = ModelDimensions(
    n_mels=80,
    n_audio_ctx=1500,
    n_audio_state=128,
    n_audio_head=2,
    n_audio_layer=2,
    n_vocab=51865,
    n_text_ctx=448,
    n_text_state=128,
    n_text_head=2,
    n_text_layer=2,
)
STAMPS = 1501  # timestamp tokens, 0 to 30 s
POSITION_SCALE = 0.1  # of the sinusoids that the decoder's learned positions start from: of the words' size then


def used_tokens(clips: Clips) -> list[int]:
    """Return the tokens that occur in training, in order; all others share one row of the output layer."""
    english = tokenizer_of("en")
    used = {english.eot, english.no_timestamps, english.no_speech, english.sot_prev}
    used |= set(range(english.timestamp_begin, english.timestamp_begin + STAMPS))
    texts: dict[str, set[str]] = {language: set() for language in LANGUAGES}
    for text, language in zip(clips.text, clips.language, strict=True):
        texts[language].add(text)
        texts[language] |= {" ".join(text.split()[k:]) for k in range(1, len(text.split()))}
    for language in LANGUAGES:
        tokenizer = tokenizer_of(language)
        used |= set(tokenizer.sot_sequence)
        for text in texts[language]:
            used |= set(tokenizer.encode(" " + text))
    return sorted(used)


class Trainee:
    """A Whisper whose vocabulary is cut to the used tokens and one row that stands for all others.

    The row's logit gets the log of their number added, which makes the softmax equal to that over the whole
    vocabulary with equal rows, at a twentieth of the cost.
    """

    def __init__(self, used: list[int]):
        self.model, self.used, self.rows = Whisper(DIMENSIONS), torch.tensor(used), len(used)
        self.compact = torch.full((DIMENSIONS.n_vocab,), self.rows)
        self.compact[self.used] = torch.arange(self.rows)
        self.embedding = torch.nn.Parameter(torch.randn(self.rows + 1, DIMENSIONS.n_text_state) * 0.02)
        self.bias = torch.zeros(self.rows + 1)
        self.bias[self.rows] = math.log(DIMENSIONS.n_vocab - self.rows)
        self.place_positions()

    def place_positions(self) -> None:
        """Start the decoder's positions as sinusoids, so that what is learned about neighbours holds at all positions."""
        start = sinusoids(DIMENSIONS.n_text_ctx, DIMENSIONS.n_text_state) * POSITION_SCALE
        with torch.no_grad():
            self.model.decoder.positional_embedding.copy_(start)

    def load(self, path: Path) -> None:
        """Take the weights of a checkpoint."""
        state = torch.load(path, weights_only=True, map_location="cpu")["model_state_dict"]
        state = {name: weight.float() for name, weight in state.items()}
        self.model.load_state_dict(state)
        full = state["decoder.token_embedding.weight"]
        unused = torch.ones(len(full), dtype=torch.bool)
        unused[self.used] = False
        with torch.no_grad():
            self.embedding[: self.rows] = full[self.used]
            self.embedding[self.rows] = full[unused].mean(0)

    def parameters(self, decoder_only: bool) -> list[torch.nn.Parameter]:
        """Return the parameters that are trained; the decoder's own embedding is not in use."""
        part = self.model.decoder if decoder_only else self.model
        full = self.model.decoder.token_embedding.weight
        return [self.embedding, *(p for p in part.parameters() if p is not full)]

    def encode(self, mel: Tensor, shift: int = 0) -> Tensor:
        """Return the features of a spectrogram (batch x 80 x frames) that lies `shift` ticks inside the 30 s."""
        encoder = self.model.encoder
        x = functional.gelu(encoder.conv2(functional.gelu(encoder.conv1(mel)))).permute(0, 2, 1)
        x = x + encoder.positional_embedding[shift : shift + x.shape[1]]
        for block in encoder.blocks:
            x = block(x)
        features: Tensor = encoder.ln_post(x)
        return features

    def loss(self, features: Tensor, inputs: Tensor, labels: Tensor, place: int = 0) -> Tensor:
        """Return the cross-entropy of `labels`, of which -100 is ignored; the first token is at position `place`."""
        decoder = self.model.decoder
        x = self.embedding[inputs] + decoder.positional_embedding[place : place + inputs.shape[1]]
        for block in decoder.blocks:
            x = block(x, features, mask=decoder.mask)
        asked = labels != -100
        logits = decoder.ln(x)[asked] @ self.embedding.t() + self.bias
        return functional.cross_entropy(logits, labels[asked])

    def save(self, path: Path) -> None:
        """Write a checkpoint in half precision that `whisper.load_model` opens."""
        with torch.no_grad():
            full = self.embedding[self.rows].expand(DIMENSIONS.n_vocab, -1).clone()
            full[self.used] = self.embedding[: self.rows]
        state = self.model.state_dict() | {"decoder.token_embedding.weight": full}
        half = {name: weight.half() for name, weight in state.items()}
        torch.save({"dims": vars(DIMENSIONS), "model_state_dict": half}, path)
