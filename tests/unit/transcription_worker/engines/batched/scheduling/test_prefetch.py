"""Inputs are opened ahead of their turn."""

import threading
import time
from collections.abc import Iterator

import numpy as np
import pytest
import torch
from transcription_worker.engines.batched.algorithm.log_mel import LogMel
from transcription_worker.engines.batched.scheduling.prefetch import (
    AudioSource,
    PrefetchedInput,
    Prefetcher,
    thread_count,
)
from transcription_worker.engines.protocol import InMemory, Input
from transcription_worker.engines.speech.loudness import Loudness

from tests.support.engine_cases import GREEDY, options

SOON = 60.0  # seconds


class Opening:
    """Opens inputs; those in `slow` only once they are let go."""

    def __init__(self, slow: set[str]) -> None:
        self.slow, self.let_go = slow, threading.Event()

    def __call__(self, item: Input) -> AudioSource:
        if item.id in self.slow:
            self.let_go.wait(SOON)
        return AudioSource(LogMel(item.open(), 80), Loudness(item.open()), [], [])


@pytest.fixture
def opening() -> Iterator[Opening]:
    made = Opening({"0"})
    yield made
    made.let_go.set()


def inputs(count: int) -> list[Input]:
    silence = InMemory(np.zeros(1, np.float32))
    return [Input(str(number), lambda: silence, options(GREEDY)) for number in range(count)]


def take(prefetcher: Prefetcher) -> PrefetchedInput:
    until = time.monotonic() + SOON
    while (taken := prefetcher.take()) is None:
        assert time.monotonic() < until
        time.sleep(0.001)
    return taken


def test_a_long_file_at_the_head_keeps_no_other_from_the_model(opening: Opening) -> None:
    opened = Prefetcher(inputs(40), opening, 16, lambda: None, torch.device("cpu"))
    assert {take(opened).item.id for _ in range(39)} == {str(number) for number in range(1, 40)}
    assert opened.take() is None
    assert not opened.exhausted
    opening.let_go.set()
    assert take(opened).item.id == "0"
    assert opened.exhausted


def test_beside_a_gpu_as_many_inputs_are_opened_at_a_time_as_there_are_cores(monkeypatch: pytest.MonkeyPatch) -> None:
    counts = []
    for cores in (2, 10, 192):
        monkeypatch.setattr(torch, "get_num_threads", lambda cores=cores: cores)
        counts.append((thread_count(torch.device("cuda")), thread_count(torch.device("cpu"))))
    assert counts == [(4, 4), (10, 4), (16, 4)]
