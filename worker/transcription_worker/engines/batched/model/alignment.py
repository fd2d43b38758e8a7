"""Word timings from the decoder's cross-attention: whisper.timing.find_alignment for many windows together."""

import threading
from typing import Any

import numpy as np
import torch
from torch import Tensor
from whisper.audio import TOKENS_PER_SECOND
from whisper.timing import WordTiming, dtw, median_filter

from transcription_worker.engines.batched.model.decoder import Decoder
from transcription_worker.engines.batched.model.device_transfer import tensor_on_device
from transcription_worker.engines.batched.requests import AlignRequest

MEDIAN_WIDTH = 7  # frames of 20 ms, the default of whisper.timing.find_alignment


# whisper compiles dtw with numba's parallel=True: numba's thread pool aborts the program if two threads use it at once.
_DTW_LOCK = threading.Lock()


def align(decoder: Decoder, heads: Tensor, requests: list[AlignRequest]) -> list[list[WordTiming]]:
    """Words of each window with their times in the window.

    heads: (2, n), layers and numbers of the alignment heads.
    """
    prompts = [_prompt(request) for request in requests]
    longest = max(map(len, prompts))
    tokens = tensor_on_device([row + [0] * (longest - len(row)) for row in prompts], requests[0].features.device)
    hidden, scores = decoder.forward(tokens, torch.stack([request.features for request in requests]), heads)
    found = []
    for index, (request, prompt) in enumerate(zip(requests, prompts, strict=True)):
        before = len(request.tokenizer.sot_sequence)
        probabilities = _probabilities(decoder, hidden[index, before : before + len(request.tokens)], request)
        found.append(_word_timings(request, scores[index, :, : len(prompt)], probabilities))
    return found


def _prompt(request: AlignRequest) -> list[int]:
    tokenizer = request.tokenizer
    return [*tokenizer.sot_sequence, tokenizer.no_timestamps, *request.tokens, tokenizer.eot]


def _probabilities(decoder: Decoder, hidden: Tensor, request: AlignRequest) -> list[float]:
    """The probability of each text token among all text tokens."""
    distribution = decoder.logits(hidden)[:, : request.tokenizer.eot].softmax(dim=-1)
    probabilities: list[float] = distribution[torch.arange(len(request.tokens)), request.tokens].tolist()
    return probabilities


def _word_timings(request: AlignRequest, scores: Tensor, probabilities: list[float]) -> list[WordTiming]:
    """The second half of whisper.timing.find_alignment. scores: (heads, tokens, 1500), before the softmax."""
    words, word_tokens = request.tokenizer.split_to_word_tokens([*request.tokens, request.tokenizer.eot])
    if len(word_tokens) <= 1:
        return []
    times = _token_times(request, scores)
    ends = np.pad(np.cumsum([len(tokens) for tokens in word_tokens[:-1]]), (1, 0))
    return [
        WordTiming(word, tokens, times[first], times[last], np.mean(probabilities[first:last]))
        for word, tokens, first, last in zip(words, word_tokens, ends[:-1], ends[1:], strict=False)
    ]


def _token_times(request: AlignRequest, scores: Tensor) -> np.ndarray[Any, Any]:
    """Seconds at which each token begins, and the last one ends: dynamic time warping over the attention weights."""
    weights = scores[:, :, : request.frames // 2].softmax(dim=-1)
    std, mean = torch.std_mean(weights, dim=-2, keepdim=True, unbiased=False)
    matrix = median_filter((weights - mean) / std, MEDIAN_WIDTH).mean(axis=0)
    matrix = matrix[len(request.tokenizer.sot_sequence) : -1]
    with _DTW_LOCK:
        places, times = dtw(-matrix)
    jumps = np.pad(np.diff(places), (1, 0), constant_values=1).astype(bool)
    seconds: np.ndarray[Any, Any] = times[jumps] / TOKENS_PER_SECOND
    return seconds
