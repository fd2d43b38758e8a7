"""Make batches of token sequences as `whisper.decode` builds them: previous text, start of transcript, window's text."""

import random
from dataclasses import dataclass

import torch
from torch import Tensor

from hack.testmodel.windows import Window, tokenizer_of
from tests.support.sentences import LANGUAGES

PROMPT_MAX = 223  # tokens: half of the decoder's positions, without the token that starts the prompt
IGNORED = -100
PLAIN_SHARE = 0.12  # of windows, those written without timestamps, as word timestamps need them


@dataclass(frozen=True)
class Prompts:
    """The shares of the windows that get each kind of prompt; the rest gets none."""

    full: float = 0.0  # as many tokens as fit, which is what every window from the third on meets
    one_window: float = 0.0  # the text of one window, as the second window meets it
    any_length: float = 0.0  # cut at any length
    untimed: float = 0.0  # without timestamps, as a person's initial prompt is


class Writer:
    """Turns windows into token sequences with their labels."""

    def __init__(self, windows: list[Window], draw: random.Random):
        self.draw = draw
        self.tokenizer = {language: tokenizer_of(language) for language in LANGUAGES}
        self.first_stamp: int = self.tokenizer["en"].timestamp_begin
        self.spoken = {name: [w for w in windows if w.language == name and w.segments] for name in LANGUAGES}

    def history(self, language: str, windows: int) -> list[int]:
        """Return the tokens that `transcribe` keeps of `windows` windows one after another."""
        chosen = self.draw.choices(self.spoken[language], k=windows)
        return [token for window in chosen for segment in window.segments for token in segment]

    def prompt(self, language: str, shares: Prompts) -> list[int]:
        """Return previous text, or nothing; what was said before never tells what is said next."""
        kinds = {"full": shares.full, "one": shares.one_window, "any": shares.any_length, "untimed": shares.untimed}
        kinds["none"] = 1 - sum(kinds.values())
        kind = self.draw.choices(list(kinds), list(kinds.values()))[0]
        if kind == "none":
            return []
        tokens = self.history(language, {"full": 6, "one": 1, "any": 4, "untimed": self.draw.choice((1, 2, 6))}[kind])
        if kind == "untimed":
            tokens = self.untimed(tokens)
        length = self.draw.randint(1, PROMPT_MAX) if kind == "any" else PROMPT_MAX
        return [self.tokenizer[language].sot_prev, *tokens[-length:]]

    def untimed(self, tokens: list[int]) -> list[int]:
        """Return the tokens that are not timestamps."""
        return [token for token in tokens if token < self.first_stamp]

    def sequence(self, window: Window, shares: Prompts) -> tuple[list[int], list[int]]:
        """Return the tokens and labels of one window, of equal length; a label is the next token, or ignored."""
        tokenizer = self.tokenizer[window.language]
        text = [token for segment in window.segments for token in segment] + window.tail
        if window.silent:
            text = [self.first_stamp]
        start = list(tokenizer.sot_sequence)
        if window.segments and self.draw.random() < PLAIN_SHARE:
            start, text = [*start, tokenizer.no_timestamps], self.untimed(text)
        prompt = self.prompt(window.language, shares)
        target = [*start, *text, tokenizer.eot]
        labels = [IGNORED] * len(prompt) + target[1:]
        if window.silent:  # `decode` reads the probability of no speech at the start token
            labels[len(prompt)] = tokenizer.no_speech
        return prompt + target[:-1], labels


def collate(sequences: list[tuple[list[int], list[int]]], compact: Tensor, filler: int) -> tuple[Tensor, Tensor]:
    """Return inputs and labels as rows of the compact vocabulary, padded to the longest."""
    longest = max(len(inputs) for inputs, _ in sequences)
    tokens = torch.full((len(sequences), longest), filler)
    labels = torch.full((len(sequences), longest), IGNORED)
    for row, (given, asked) in enumerate(sequences):
        tokens[row, : len(given)] = torch.tensor(given)
        labels[row, : len(asked)] = compact_labels(torch.tensor(asked), compact)
    return compact[tokens], labels


def compact_labels(labels: Tensor, compact: Tensor) -> Tensor:
    """Return labels in the compact vocabulary, with the ignored ones left as they are."""
    return torch.where(labels == IGNORED, labels, compact[labels.clamp(min=0)])
