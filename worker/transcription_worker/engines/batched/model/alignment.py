"""When each word is spoken, from the decoder's attention to the audio: whisper.timing.find_alignment for many windows at once."""

import threading
from typing import Any

import numpy as np
import torch
from torch import Tensor
from whisper.audio import TOKENS_PER_SECOND
from whisper.timing import WordTiming, dtw, median_filter

from transcription_worker.engines.batched.model.decoder import Decoder
from transcription_worker.engines.batched.model.device_transfer import sent
from transcription_worker.engines.batched.requests import Align

MEDIAN_WIDTH = 7  # frames of 20 ms, the default of whisper.timing.find_alignment


# The warping is compiled as parallel: numba's own pool of threads ends the program if two start work in it at once.
_WARPING = threading.Lock()


def align(decoder: Decoder, heads: Tensor, asks: list[Align]) -> list[list[WordTiming]]:
    """Words of each window with their times in it. heads: (2, n), layers and heads that follow the sound."""
    rows = [[*ask.tokenizer.sot_sequence, ask.tokenizer.no_timestamps, *ask.tokens, ask.tokenizer.eot] for ask in asks]
    longest = max(map(len, rows))
    tokens = sent([row + [0] * (longest - len(row)) for row in rows], asks[0].features.device)
    hidden, weights = decoder.attend(tokens, torch.stack([ask.features for ask in asks]), heads)
    found = []
    for index, (ask, row) in enumerate(zip(asks, rows, strict=True)):
        before = len(ask.tokenizer.sot_sequence)
        probabilities = _probabilities(decoder, hidden[index, before : before + len(ask.tokens)], ask)
        found.append(_timed(ask, weights[index, :, : len(row)], probabilities))
    return found


def _probabilities(decoder: Decoder, hidden: Tensor, ask: Align) -> list[float]:
    """Of each text token among all text tokens."""
    chances = decoder.logits(hidden)[:, : ask.tokenizer.eot].softmax(dim=-1)
    picked: list[float] = chances[torch.arange(len(ask.tokens)), ask.tokens].tolist()
    return picked


def _timed(ask: Align, weights: Tensor, probabilities: list[float]) -> list[WordTiming]:
    """weights: (heads, tokens, 1500), before the softmax. The second half of whisper.timing.find_alignment."""
    words, word_tokens = ask.tokenizer.split_to_word_tokens([*ask.tokens, ask.tokenizer.eot])
    if len(word_tokens) <= 1:
        return []
    times = _token_times(ask, weights)
    ends = np.pad(np.cumsum([len(tokens) for tokens in word_tokens[:-1]]), (1, 0))
    return [
        WordTiming(word, tokens, times[first], times[last], np.mean(probabilities[first:last]))
        for word, tokens, first, last in zip(words, word_tokens, ends[:-1], ends[1:], strict=False)
    ]


def _token_times(ask: Align, weights: Tensor) -> np.ndarray[Any, Any]:
    """Seconds at which each token begins, and the last one ends: dynamic time warping over the attention."""
    weights = weights[:, :, : ask.frames // 2].softmax(dim=-1)
    std, mean = torch.std_mean(weights, dim=-2, keepdim=True, unbiased=False)
    matrix = median_filter((weights - mean) / std, MEDIAN_WIDTH).mean(axis=0)
    matrix = matrix[len(ask.tokenizer.sot_sequence) : -1]
    with _WARPING:
        places, times = dtw(-matrix)
    jumps = np.pad(np.diff(places), (1, 0), constant_values=1).astype(bool)
    seconds: np.ndarray[Any, Any] = times[jumps] / TOKENS_PER_SECOND
    return seconds
