"""Windows that are decoded together, one token a step (continuous batching).

Every window is at its own position. One that is finished frees its slot at once.
"""

import functools
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any, Generic, TypeVar

import torch
from torch import Tensor
from whisper.decoding import DecodingOptions, DecodingResult, DecodingTask, MaximumLikelihoodRanker
from whisper.utils import compression_ratio

from transcription_worker.engines.batched.decoding.logit_rules import LogitRules
from transcription_worker.engines.batched.decoding.sampler import Sampler, TorchSampler
from transcription_worker.engines.batched.decoding.sampler_cpu import NumbaSampler
from transcription_worker.engines.batched.decoding.search import (
    BeamSearchDecoder,
    Candidate,
    DecodeState,
    GreedyDecoder,
    TokenDecoder,
)
from transcription_worker.engines.batched.kernels.numba_jit import uses_numba
from transcription_worker.engines.batched.model.cuda_graphs import CudaGraphRunner
from transcription_worker.engines.batched.model.device_transfer import Readback, tensor_on_device
from transcription_worker.engines.batched.model.model_runner import ModelRunner
from transcription_worker.engines.batched.requests import DecodeRequest, DecodeResponse

# On a GPU the slots that a step computes are rounded up to one of these, since each has a CUDA graph of its own, and recording one
# takes some 0.1 s with large-v3. Slots that hold no window cost next to nothing: attention passes them over.
SLOTS_GPU = (8, 16, 32, 64, 128, 192)


W = TypeVar("W")


@dataclass(frozen=True)
class BatchKey:
    """What the windows of one DecodeBatch have in common.

    group: rows of a slot (whisper.decoding's n_group: beams, or samples of best_of). max_candidates: finished candidates
    after which beam search ends, 0 without beam search. sampling: whether the temperature is above 0.
    """

    group: int
    max_candidates: int
    sampling: bool
    rules: LogitRules


@dataclass(frozen=True, eq=False)
class PreparedRequest:
    """A decode request with the DecodingTask that openai-whisper makes of its options."""

    request: DecodeRequest
    task: DecodingTask
    key: BatchKey

    @property
    def initial_tokens(self) -> list[int]:
        return list(self.task.initial_tokens)

    @property
    def max_tokens(self) -> int:
        """How many tokens may be generated: whisper's loop ends when the context is exceeded by one token."""
        return int(min(self.task.sample_len, self.task.n_ctx + 1 - len(self.task.initial_tokens)))


def prepare_request(model: Any, request: DecodeRequest) -> PreparedRequest:
    """Derive from a request's options what decides which batch it joins.

    Raises:
        ValueError: openai-whisper refuses the options.
    """
    task = DecodingTask(model, request.options)
    options, tokenizer = task.options, task.tokenizer
    beams = options.beam_size
    rules = LogitRules(
        eot=tokenizer.eot,
        timestamp_begin=tokenizer.timestamp_begin,
        suppressed=_suppressed(task),
        blank=(*tokenizer.encode(" "), tokenizer.eot) if options.suppress_blank else (),
        timestamps=not options.without_timestamps,
        max_initial_timestamp_index=_max_initial_timestamp_index(task),
    )
    max_candidates = 0 if beams is None else round(beams * (options.patience or 1.0))
    return PreparedRequest(request, task, BatchKey(task.n_group, max_candidates, options.temperature > 0, rules))


def computed_slots(used: int, slots: int, device: torch.device) -> int:
    """How many of a batch's slots a step computes: the used ones, and on a GPU as many as a CUDA graph is recorded for."""
    if device.type != "cuda":
        return used
    return next((size for size in SLOTS_GPU if used <= size < slots), slots)


def _padded_prompts(requests: list[PreparedRequest]) -> list[list[int]]:
    """The initial tokens of each request, padded to the length of the longest."""
    longest = max(len(one.initial_tokens) for one in requests)
    return [one.initial_tokens + [0] * (longest - len(one.initial_tokens)) for one in requests]


def _suppressed(task: DecodingTask) -> tuple[int, ...]:
    tokens = task._get_suppress_tokens() if task.options.suppress_tokens else ()
    if task.options.without_timestamps or task.tokenizer.no_timestamps is None:
        return tuple(tokens)
    return (*tokens, task.tokenizer.no_timestamps)


def _max_initial_timestamp_index(task: DecodingTask) -> int | None:
    if not task.options.max_initial_timestamp:
        return None
    index: int = round(task.options.max_initial_timestamp / (30 / task.model.dims.n_audio_ctx))
    return index


class DecodeBatch(Generic[W]):
    """At most `slots` windows with the same BatchKey, of `key.group` rows each.

    The first `used_slots` slots hold windows. W is the type of a window's owner, which `collect` returns with the result.
    """

    def __init__(self, runner: ModelRunner, key: BatchKey, slots: int) -> None:
        self.key, self.slots, self.used_slots = key, slots, 0
        self._runner, self._decoder, self._device = runner, runner.decoder, runner.device
        self._dims = dims = runner.model.dims
        rows, self._max_length = slots * key.group, dims.n_text_ctx // 2
        self._cache = self._decoder.allocate_cache(slots, key.group)
        self._state = DecodeState.empty(rows, self._max_length, key.rules, self._device)
        self._hidden = torch.zeros(rows, dims.n_text_state, dtype=runner.dtype, device=self._device)
        self._noise = torch.ones(rows, dims.n_vocab, device=self._device) if key.sampling else None
        self._token_decoder: TokenDecoder = (
            BeamSearchDecoder(key.group, key.max_candidates, slots, self._max_length, self._device)
            if key.max_candidates
            else GreedyDecoder(key.group)
        )
        self._sampler = self._make_sampler()
        self._windows: list[_Window[W]] = []
        self._launched_slots = 0  # the first slots, whose windows have steps in flight
        self._graphs, self._readback = CudaGraphRunner(self._device), Readback(self._device)
        self._length_multiple = self._decoder.length_multiple

    def _make_sampler(self) -> Sampler:
        """Blockwise by numba on a CPU, unless noise is drawn for all logits; a GPU has the bandwidth for all logits."""
        if uses_numba(self._runner.dtype, self._device) and not self.key.sampling:
            return NumbaSampler(self._decoder, self.key.rules, self._token_decoder.top_k)
        return TorchSampler(self._decoder, self.key.rules, self._token_decoder.top_k)

    def resized(self, slots: int) -> "DecodeBatch[W]":
        """Return a batch with more slots that continues the windows of this one."""
        batch: DecodeBatch[W] = DecodeBatch(self._runner, self.key, slots)
        for old, new in zip(self._tensors(), batch._tensors(), strict=True):
            new[tuple(slice(0, size) for size in old.shape)] = old
        batch._windows, batch.used_slots = self._windows, self.used_slots
        return batch

    def _tensors(self) -> Iterator[Tensor]:
        """The whole state of the windows; each tensor grows with the slots along one of its first two dimensions."""
        yield from (*self._state.tensors(), self._hidden, *self._token_decoder.tensors())
        yield from (*self._cache.self_attention, *self._cache.cross_attention)

    @property
    def admitted(self) -> list[tuple[PreparedRequest, W]]:
        """The windows that are being decoded, as they were given to `admit`."""
        return [(one.prepared, one.owner) for one in self._windows[: self.used_slots]]

    @property
    def free_slots(self) -> int:
        return self.slots - self.used_slots

    def admit(self, admitted: list[tuple[PreparedRequest, W]]) -> None:
        """Put windows into free slots, with the owner of each, and prefill their prompts together."""
        slots = slice(self.used_slots, self.used_slots + len(admitted))
        requests = [prepared for prepared, _ in admitted]
        lengths = [len(one.initial_tokens) for one in requests]
        features = torch.stack([one.request.features for one in requests])
        prompts = tensor_on_device(_padded_prompts(requests), self._device)
        hidden = self._decoder.prefill(prompts, features, self._cache, slots)
        every = torch.arange(len(admitted), device=self._device)
        last = hidden[every, tensor_on_device([length - 1 for length in lengths], self._device)]
        at_sot = hidden[every, tensor_on_device([one.task.sot_index for one in requests], self._device)]
        # Cloned: a view would keep the logits of the whole vocabulary.
        no_speech = self._decoder.logits(at_sot).softmax(dim=-1)[:, self._runner.no_speech_token].clone()
        self._init_rows(requests, last)
        for (prepared, owner), no_speech_prob in zip(admitted, no_speech, strict=True):
            self._token_decoder.reset(len(self._windows))
            length = len(prepared.initial_tokens)
            self._windows.append(_Window(prepared, owner, length, no_speech_prob, self._random_generator(prepared)))
        self.used_slots += len(admitted)

    def _init_rows(self, requests: list[PreparedRequest], last: Tensor) -> None:
        """Set the rows of windows in the next free slots. last: hidden states of the prompts' last tokens, (windows, width)."""
        group = self.key.group
        rows = slice(self.used_slots * group, (self.used_slots + len(requests)) * group)
        fresh = DecodeState.empty(group * len(requests), self._max_length, self.key.rules, self._device)
        max_tokens = tensor_on_device([one.max_tokens for one in requests], self._device)
        fresh.max_tokens[:] = max_tokens.repeat_interleave(group)
        positions = tensor_on_device([len(one.initial_tokens) - 1 for one in requests], self._device)
        fresh.position[:] = positions.repeat_interleave(group)
        fresh.finished[:] = False
        temperatures = [one.request.options.temperature or 1.0 for one in requests]
        fresh.temperature[:] = tensor_on_device(temperatures, self._device, torch.float32).repeat_interleave(group)
        for old, new in zip(self._state.tensors(), fresh.tensors(), strict=True):
            old[rows] = new
        self._hidden[rows] = last.repeat_interleave(group, dim=0)

    def _random_generator(self, prepared: PreparedRequest) -> torch.Generator | None:
        return torch.Generator(self._device).manual_seed(prepared.request.seed) if self.key.sampling else None

    def launch(self, steps: int = 1) -> None:
        """Decode `steps` more tokens of every window. A GPU has only been given the work when this returns."""
        slots = computed_slots(self.used_slots, self.slots, self._device)
        for _ in range(steps):
            self._draw_noise()
            longest = max(window.prompt_length + window.steps for window in self._windows) + 1
            length = min(self._dims.n_text_ctx, -(-longest // self._length_multiple) * self._length_multiple)
            self._graphs.run((slots, length), functools.partial(self._decode_step, slots, length))
            for window in self._windows:
                window.steps += 1
        self._launched_slots = self.used_slots
        self._readback.record_event()

    def _draw_noise(self) -> None:
        if self._noise is None:
            return
        group = self.key.group
        for slot, window in enumerate(self._windows):
            self._noise[slot * group : (slot + 1) * group].exponential_(generator=window.random_generator)

    def _decode_step(self, slots: int, length: int) -> None:
        """Decode one more token of the first slots. It reads no tensor's value on the host, so that a CUDA graph can hold it.

        length: an upper bound of every row's position.
        """
        count = slots * self.key.group
        state, cache = self._state, self._cache
        noise = None if self._noise is None else self._noise[:count]
        tokens, logprobs = self._sampler.sample(
            self._hidden[:count], state.rule_state, state.temperature[:count], noise
        )
        source = self._token_decoder.update(state, tokens, logprobs, self.key.rules)
        if source is not None:
            self._decoder.reorder_cache(cache, source, length)
        state.position[:count] = (state.position[:count] + 1).clamp(max=self._dims.n_text_ctx - 1)
        hidden = self._decoder.step(
            state.token[:count], state.position[:count], state.finished[:count], cache, slots, length
        )
        self._hidden[:count] = hidden

    def collect(self) -> list[tuple[W, Callable[[], DecodeResponse]]]:
        """Return the owners of the windows that were finished by the last launch, and free their slots.

        With each comes what ranks and describes its candidates: that needs no GPU, which can be given its next steps first.
        Windows that were admitted since that launch are not checked.
        """
        launched, self._launched_slots = self._launched_slots, 0
        if not launched:
            return []
        with self._readback.after_event():
            finished = self._state.finished[: launched * self.key.group].view(launched, -1).all(dim=1).tolist()
            done = [slot for slot, ended in enumerate(finished) if ended]
            results = self._results(done) if done else []
        for slot in reversed(done):
            self._free(slot)
        return results

    def _results(self, done: list[int]) -> list[tuple[W, Callable[[], DecodeResponse]]]:
        windows = [self._windows[slot] for slot in done]
        candidates = self._token_decoder.finalize(self._state, tensor_on_device(done, self._device), self.key.rules)
        silences = torch.stack([window.no_speech_prob for window in windows]).tolist()
        return [
            (window.owner, functools.partial(window.respond, found, silence))
            for window, found, silence in zip(windows, candidates, silences, strict=True)
        ]

    def _free(self, slot: int) -> None:
        """Free a slot by moving the window of the last used slot into it."""
        last, group = self.used_slots - 1, self.key.group
        if slot != last:
            here, there = slice(slot * group, (slot + 1) * group), slice(last * group, (last + 1) * group)
            for tensor in (*self._state.tensors(), self._hidden):
                tensor[here] = tensor[there]
            for tensor in self._token_decoder.tensors():
                tensor[slot] = tensor[last]
            window = self._windows[last]
            self._decoder.move_slot(self._cache, (last, slot), group, window.prompt_length + window.steps)
            self._windows[slot] = self._windows[last]
        self._state.finished[last * group : (last + 1) * group] = True
        self._windows.pop()
        self.used_slots = last


@dataclass(eq=False)
class _Window(Generic[W]):
    """The window in a slot. no_speech_prob: a scalar on the model's device. steps: decode steps launched so far."""

    prepared: PreparedRequest
    owner: W
    prompt_length: int
    no_speech_prob: Tensor
    random_generator: torch.Generator | None
    steps: int = 0

    def respond(self, candidates: list[Candidate], no_speech_prob: float) -> DecodeResponse:
        """Rank the candidates and describe the best one, as whisper.decoding.DecodingTask.run does."""
        options: DecodingOptions = self.prepared.task.options
        ranker = MaximumLikelihoodRanker(options.length_penalty)
        (index,) = ranker.rank([[one.tokens for one in candidates]], [[one.sum_logprob for one in candidates]])
        best = candidates[index]
        text = self.prepared.task.tokenizer.decode(best.tokens).strip()
        result = DecodingResult(
            audio_features=self.prepared.request.features,
            language=options.language or "en",
            tokens=best.tokens,
            text=text,
            avg_logprob=best.sum_logprob / (len(best.tokens) + 1),
            no_speech_prob=no_speech_prob,
            temperature=options.temperature,
            compression_ratio=compression_ratio(text),
        )
        return DecodeResponse(result, self.steps)
