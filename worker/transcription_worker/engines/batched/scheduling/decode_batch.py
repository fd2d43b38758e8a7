"""A lane: windows that are decoded together, one token a step, each at its own position; a finished one makes room at once."""

import functools
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, Generic, TypeVar

import torch
from torch import Tensor
from whisper.decoding import DecodingOptions, DecodingResult, DecodingTask, MaximumLikelihoodRanker
from whisper.utils import compression_ratio

from transcription_worker.engines.batched.decoding.logit_rules import Rules
from transcription_worker.engines.batched.decoding.sampler import Vocabulary, WholeVocabulary
from transcription_worker.engines.batched.decoding.sampler_cpu import BlockedVocabulary
from transcription_worker.engines.batched.decoding.search import Beams, Rows, Sampling, Search
from transcription_worker.engines.batched.kernels.numba_jit import has_loops
from transcription_worker.engines.batched.model.cuda_graphs import Replays
from transcription_worker.engines.batched.model.device_transfer import Looking, sent
from transcription_worker.engines.batched.model.model_runner import Compute
from transcription_worker.engines.batched.requests import Decode, Decoded

# On a GPU a multiple of so many slots is run: each is a graph of its own.
SLOT_STEP_ON_GPU = 8


W = TypeVar("W")


@dataclass(frozen=True)
class Kind:
    """What windows of one lane have in common. `wanted`: finished candidates of a beam search, 0 without beams."""

    group: int
    wanted: int
    drawn: bool
    rules: Rules


@dataclass(frozen=True, eq=False)
class Prepared:
    """A window's decoding with what openai-whisper's own DecodingTask derives from its options."""

    ask: Decode
    task: DecodingTask
    kind: Kind

    @property
    def initial(self) -> list[int]:
        return list(self.task.initial_tokens)

    @property
    def limit(self) -> int:
        """Tokens that may be sampled: whisper's loop ends when the context is one token over."""
        return int(min(self.task.sample_len, self.task.n_ctx + 1 - len(self.task.initial_tokens)))


def prepare(model: Any, ask: Decode) -> Prepared:
    """Raises ValueError for options that openai-whisper refuses."""
    task = DecodingTask(model, ask.options)
    options, tokenizer = task.options, task.tokenizer
    beams = options.beam_size
    rules = Rules(
        eot=tokenizer.eot,
        timestamp_begin=tokenizer.timestamp_begin,
        suppressed=_suppressed(task),
        blank=(*tokenizer.encode(" "), tokenizer.eot) if options.suppress_blank else (),
        timestamps=not options.without_timestamps,
        last_initial=_last_initial(task),
    )
    wanted = 0 if beams is None else round(beams * (options.patience or 1.0))
    return Prepared(ask, task, Kind(task.n_group, wanted, options.temperature > 0, rules))


def _padded(windows: list[Prepared]) -> list[list[int]]:
    """Their prompts, all as long as the longest."""
    longest = max(len(one.initial) for one in windows)
    return [one.initial + [0] * (longest - len(one.initial)) for one in windows]


def _suppressed(task: DecodingTask) -> tuple[int, ...]:
    tokens = task._get_suppress_tokens() if task.options.suppress_tokens else ()
    if task.options.without_timestamps or task.tokenizer.no_timestamps is None:
        return tuple(tokens)
    return (*tokens, task.tokenizer.no_timestamps)


def _last_initial(task: DecodingTask) -> int | None:
    if not task.options.max_initial_timestamp:
        return None
    latest: int = round(task.options.max_initial_timestamp / (30 / task.model.dims.n_audio_ctx))
    return latest


class Lane(Generic[W]):
    """`slots` windows at most, of `kind.group` rows each. The first `busy` slots are the ones in use. W: whom a window is for."""

    def __init__(self, compute: Compute, kind: Kind, slots: int) -> None:
        self.kind, self.slots, self.busy = kind, slots, 0
        self._compute, self._decoder, self._device = compute, compute.decoder, compute.device
        self._dims = dims = compute.model.dims
        rows, self._longest = slots * kind.group, dims.n_text_ctx // 2
        self._caches = self._decoder.caches(slots, kind.group)
        self._rows = Rows.empty(rows, self._longest, kind.rules, self._device)
        self._hidden = torch.zeros(rows, dims.n_text_state, dtype=compute.dtype, device=self._device)
        self._noise = torch.ones(rows, dims.n_vocab, device=self._device) if kind.drawn else None
        self._search: Search = (
            Beams(kind.group, kind.wanted, slots, self._longest, self._device) if kind.wanted else Sampling(kind.group)
        )
        self._vocabulary = self._choose_vocabulary()
        self._held: list[_Held[W]] = []
        self._launched = 0  # the first slots, whose windows have steps on their way
        self._replays, self._looking = Replays(self._device), Looking(self._device)
        self._slot_step = SLOT_STEP_ON_GPU if self._device.type == "cuda" else 1
        self._length_step = self._decoder.length_step

    def _choose_vocabulary(self) -> Vocabulary:
        """A GPU has the memory's bandwidth for all logits, and noise is drawn for all of them."""
        if has_loops(self._compute.dtype, self._device) and not self.kind.drawn:
            return BlockedVocabulary(self._decoder, self.kind.rules, self._search.wanted)
        return WholeVocabulary(self._decoder, self.kind.rules, self._search.wanted)

    def grown(self, slots: int) -> "Lane[W]":
        """A lane with more room that goes on with the windows of this one."""
        lane: Lane[W] = Lane(self._compute, self.kind, slots)
        for old, new in zip(self._state(), lane._state(), strict=True):
            new[tuple(slice(0, size) for size in old.shape)] = old
        lane._held, lane.busy = self._held, self.busy
        return lane

    def _state(self) -> Iterator[Tensor]:
        """All that a window has here, as tensors; each grows with the slots along one of its first two dimensions."""
        yield from (*self._rows.tensors(), self._hidden, *self._search.tensors())
        yield from (*self._caches.text, *self._caches.audio)

    @property
    def held(self) -> list[tuple[Prepared, W]]:
        """The windows that are decoded here, as they were admitted."""
        return [(one.prepared, one.whom) for one in self._held[: self.busy]]

    @property
    def room(self) -> int:
        return self.slots - self.busy

    def admit(self, asked: list[tuple[Prepared, W]]) -> None:
        """Takes windows in, with whom each is for; at most `room`. Their prompts are read in one go."""
        slots = slice(self.busy, self.busy + len(asked))
        windows = [prepared for prepared, _ in asked]
        lengths = [len(one.initial) for one in windows]
        features = torch.stack([one.ask.features for one in windows])
        hidden = self._decoder.prefill(sent(_padded(windows), self._device), features, self._caches, slots)
        every = torch.arange(len(asked), device=self._device)
        last = hidden[every, sent([length - 1 for length in lengths], self._device)]
        at_start = hidden[every, sent([one.task.sot_index for one in windows], self._device)]
        silence = (
            self._decoder.logits(at_start).softmax(dim=-1)[:, self._compute.no_speech_token].clone()
        )  # not a view of them all
        self._begin(windows, last)
        for (prepared, whom), no_speech in zip(asked, silence, strict=True):
            self._search.clear(len(self._held))
            self._held.append(_Held(prepared, whom, len(prepared.initial), no_speech, self._generator(prepared)))
        self.busy += len(asked)

    def _begin(self, windows: list[Prepared], last: Tensor) -> None:
        """The rows of windows in the slots after those that are busy. last: (windows, width), what their prompts end with."""
        group = self.kind.group
        of = slice(self.busy * group, (self.busy + len(windows)) * group)
        fresh = Rows.empty(group * len(windows), self._longest, self.kind.rules, self._device)
        fresh.limit[:] = sent([one.limit for one in windows], self._device).repeat_interleave(group)
        fresh.position[:] = sent([len(one.initial) - 1 for one in windows], self._device).repeat_interleave(group)
        fresh.finished[:] = False
        temperatures = [one.ask.options.temperature or 1.0 for one in windows]
        fresh.temperature[:] = sent(temperatures, self._device, torch.float32).repeat_interleave(group)
        for state, new in zip(self._rows.tensors(), fresh.tensors(), strict=True):
            state[of] = new
        self._hidden[of] = last.repeat_interleave(group, dim=0)

    def _generator(self, prepared: Prepared) -> torch.Generator | None:
        return torch.Generator(self._device).manual_seed(prepared.ask.seed) if self.kind.drawn else None

    def launch(self, count: int = 1) -> None:
        """`count` tokens more for every window; a GPU has them on its way."""
        slots = min(self.slots, -(-self.busy // self._slot_step) * self._slot_step)
        for _ in range(count):
            self._draw()
            reach = max(held.length + held.steps for held in self._held) + 1
            length = min(self._dims.n_text_ctx, -(-reach // self._length_step) * self._length_step)
            self._replays.run((slots, length), functools.partial(self._advance, slots, length))
            for held in self._held:
                held.steps += 1
        self._launched = self.busy
        self._looking.mark()

    def _draw(self) -> None:
        if self._noise is None:
            return
        for slot, held in enumerate(self._held):
            self._noise[slot * self.kind.group : (slot + 1) * self.kind.group].exponential_(generator=held.generator)

    def _advance(self, slots: int, length: int) -> None:
        """One token more of the first slots. No value is looked at: a GPU replays it."""
        count = slots * self.kind.group
        rows, caches = self._rows, self._caches
        noise = None if self._noise is None else self._noise[:count]
        tokens, logprobs = self._vocabulary.pick(self._hidden[:count], rows.trace, rows.temperature[:count], noise)
        source = self._search.advance(rows, tokens, logprobs, self.kind.rules)
        if source is not None:
            self._decoder.follow(caches, source, length)
        rows.position[:count] = (rows.position[:count] + 1).clamp(max=self._dims.n_text_ctx - 1)
        hidden = self._decoder.step(rows.token[:count], rows.position[:count], caches, slots, length)
        self._hidden[:count] = hidden

    def collect(self) -> list[tuple[W, Decoded]]:
        """The windows that are done after the last launch; others take their slots. Those admitted since are not looked at."""
        launched, self._launched = self._launched, 0
        if not launched:
            return []
        with self._looking.up_to_mark():
            finished = self._rows.finished[: launched * self.kind.group].view(launched, -1).all(dim=1).tolist()
            done = [slot for slot, ended in enumerate(finished) if ended]
            results = [(self._held[slot].whom, self._result(slot)) for slot in done]
        for slot in reversed(done):
            self._vacate(slot)
        return results

    def _vacate(self, slot: int) -> None:
        """The last busy slot takes the place of the one that is done."""
        last, group = self.busy - 1, self.kind.group
        if slot != last:
            here, there = slice(slot * group, (slot + 1) * group), slice(last * group, (last + 1) * group)
            for state in (*self._rows.tensors(), self._hidden):
                state[here] = state[there]
            for state in self._search.tensors():
                state[slot] = state[last]
            held = self._held[last]
            self._decoder.move(self._caches, (last, slot), group, held.length + held.steps)
            self._held[slot] = self._held[last]
        self._rows.finished[last * group : (last + 1) * group] = True
        self._held.pop()
        self.busy = last

    def _result(self, slot: int) -> Decoded:
        """As DecodingTask.run makes it of a slot's candidates."""
        held = self._held[slot]
        options: DecodingOptions = held.prepared.task.options
        candidates = self._search.candidates(self._rows, slot, self.kind.rules)
        ranker = MaximumLikelihoodRanker(options.length_penalty)
        (index,) = ranker.rank([[one.tokens for one in candidates]], [[one.score for one in candidates]])
        best = candidates[index]
        text = held.prepared.task.tokenizer.decode(best.tokens).strip()
        result = DecodingResult(
            audio_features=held.prepared.ask.features,
            language=options.language or "en",
            tokens=best.tokens,
            text=text,
            avg_logprob=best.score / (len(best.tokens) + 1),
            no_speech_prob=float(held.no_speech),
            temperature=options.temperature,
            compression_ratio=compression_ratio(text),
        )
        return Decoded(result, held.steps)


@dataclass(eq=False)
class _Held(Generic[W]):
    """A window in a slot. `length`: of its prompt; `no_speech`: a number where the model is; `steps`: taken so far."""

    prepared: Prepared
    whom: W
    length: int
    no_speech: Tensor
    generator: torch.Generator | None
    steps: int = 0
