"""One file as a stream: whisper.transcribe's loop over its windows, which asks the engine for what the model computes."""

from collections.abc import Callable, Generator
from dataclasses import dataclass, field, replace
from typing import Any

import torch
from torch import Tensor
from transcription_api.spec import QualityPolicy
from whisper.audio import FRAMES_PER_SECOND, N_FRAMES
from whisper.decoding import DecodingResult
from whisper.tokenizer import Tokenizer
from whisper.utils import get_end

from transcription_worker.engines.batched.algorithm.hallucinations import seek_after_words, skip_silence
from transcription_worker.engines.batched.algorithm.log_mel import LogMel
from transcription_worker.engines.batched.algorithm.segmentation import Cut, Segment, Window, clear_empty, cut_window
from transcription_worker.engines.batched.algorithm.temperature_fallback import (
    Attempts,
    Thresholds,
    decode_with_fallback,
)
from transcription_worker.engines.batched.algorithm.word_timestamps import add_words, text_tokens
from transcription_worker.engines.batched.requests import Align, Ask, Encode
from transcription_worker.engines.protocol import Counters, Options
from transcription_worker.engines.quality.flags import window_flags
from transcription_worker.engines.speech.loudness import Loudness

# Above this temperature a window's text is no prompt for the next: whisper.transcribe.
PROMPT_TEMPERATURE = 0.5
# What of whisper.transcribe's arguments goes to each window's decoding as it is.
DECODING_OPTIONS = (
    "task",
    "beam_size",
    "best_of",
    "patience",
    "length_penalty",
    "suppress_tokens",
    "without_timestamps",
)

# Seeds: a frame's own, one for each attempt, and others for a window that is decoded again.
SEEDS_A_FRAME = 64
RETRY_SEED = 32

# Segments before a window that a repetition may have begun in: one that counts has ten words.
SEGMENTS_BEFORE = 16


@dataclass(frozen=True)
class Reading:
    """What a window was found to say. `seek`: where the next one begins; not `kept`: silence, or to be read again from there."""

    result: DecodingResult
    segments: list[Segment]
    seek: int
    kept: bool


@dataclass
class Stream:
    """The state that whisper.transcribe keeps from window to window.

    arguments: those of whisper.transcribe; clips: frames [start, end); context: tokens that the decoder takes; encoded:
    features of whole windows that are there already, by their first frame.
    """

    options: Options
    mel: LogMel
    loudness: Loudness
    language: str
    tokenizer: Tokenizer
    arguments: dict[str, Any]
    clips: list[tuple[int, int]]
    stride: int
    context: int
    dtype: torch.dtype
    on_progress: Callable[[float], None]
    encoded: dict[int, Tensor] = field(default_factory=dict)
    segments: list[Segment] = field(default_factory=list)
    tokens: list[int] = field(default_factory=list)
    counters: Counters = field(default_factory=Counters)
    _prompt: list[int] = field(default_factory=list)
    _reset_since: int = 0
    _last_speech: float = 0.0

    def run(self) -> Generator[Ask, Any, "Stream"]:
        """All windows of all clips; returns itself."""
        if (prompt := self.arguments["initial_prompt"]) is not None:
            self._prompt = self.tokenizer.encode(" " + prompt.strip())
            self.tokens.extend(self._prompt)
        for start, end in self.clips:
            seek = start
            while seek < end:
                window = Window(seek, min(N_FRAMES, self.mel.frames - seek, end - seek), self.stride)
                seek = yield from self._window(window)
                self.on_progress(min(seek, self.mel.frames) / FRAMES_PER_SECOND)
        return self

    def of(self, clips: list[tuple[int, int]], on_progress: Callable[[float], None]) -> "Stream":
        """A stream of the same file and options that has nothing of this one's state."""
        return replace(
            self, clips=clips, on_progress=on_progress, segments=[], tokens=[], counters=Counters(), _prompt=[]
        )

    @property
    def text(self) -> str:
        """Of all windows, without the initial prompt."""
        return str(self.tokenizer.decode(self.tokens[len(self._prompt) :]))

    def _window(self, window: Window) -> Generator[Ask, Any, int]:
        """Decodes one window; returns where the next one begins."""
        features = yield from self._encode(window)
        temperatures = self.arguments["temperature"]
        reading = yield from self._read(features, window, self._next_prompt(), temperatures, seed=0)
        if self.options.quality.policy is QualityPolicy.RETRY and (flags := self._flags(reading)):
            later = temperatures[temperatures.index(reading.result.temperature) + 1 :]
            other = yield from self._read(features, window, [], later or temperatures, seed=RETRY_SEED)
            self.counters = replace(self.counters, retried=self.counters.retried + 1)
            reading = _better(reading, flags, other, self._flags(other))
        if reading.kept:
            self._keep(reading)
        return reading.seek

    def _encode(self, window: Window) -> Generator[Ask, Any, Tensor]:
        known = self.encoded.pop(window.seek, None) if window.size == N_FRAMES else None
        if known is not None:
            return known
        features: Tensor = yield Encode(self.mel.window(window.seek, window.size, self.dtype))
        return features

    def _next_prompt(self) -> list[int]:
        if not self.arguments["carry_initial_prompt"]:
            return self.tokens[self._reset_since :]
        since = max(len(self._prompt), self._reset_since)
        room = self.context // 2 - 1 - len(self._prompt)
        return self._prompt + self.tokens[since:][-room:]

    def _read(
        self, features: Tensor, window: Window, prompt: list[int], temperatures: tuple[float, ...], seed: int
    ) -> Generator[Ask, Any, Reading]:
        options = {name: self.arguments[name] for name in DECODING_OPTIONS} | {"prompt": prompt}
        options |= {"language": self.language, "fp16": self.dtype is torch.float16}
        seed += self.options.seed + window.seek * SEEDS_A_FRAME
        attempts: Attempts = yield from decode_with_fallback(features, options, temperatures, self._thresholds, seed)
        self._count(attempts)
        if self._thresholds.silent(attempts.result):
            return Reading(attempts.result, [], window.seek + window.size, kept=False)
        cut = cut_window(window, attempts.result, self.tokenizer)
        again = self.arguments["word_timestamps"] and (yield from self._time_words(features, window, cut))
        return Reading(attempts.result, cut.segments, cut.seek, kept=not again)

    def _count(self, attempts: Attempts) -> None:
        counters = self.counters
        self.counters = replace(
            counters,
            windows=counters.windows + 1,
            steps=counters.steps + attempts.steps,
            fallbacks=counters.fallbacks + attempts.count - 1,
        )

    @property
    def _thresholds(self) -> Thresholds:
        of = self.arguments
        return Thresholds(of["compression_ratio_threshold"], of["logprob_threshold"], of["no_speech_threshold"])

    def _time_words(self, features: Tensor, window: Window, cut: Cut) -> Generator[Ask, Any, bool]:
        """Words of the segments. True: the window is read again from another place."""
        tokens = text_tokens(cut.segments, self.tokenizer)
        alignment = (yield Align(features, tokens, window.size, self.tokenizer)) if tokens else []
        add_words(cut.segments, self.tokenizer, alignment, self._last_speech)
        cut.seek = seek_after_words(cut, window)
        threshold = self.arguments["hallucination_silence_threshold"]
        return threshold is not None and skip_silence(cut, window, threshold, self._last_speech, self.mel.frames)

    def _keep(self, reading: Reading) -> None:
        segments = reading.segments
        if self.arguments["word_timestamps"] and (end := get_end(segments)) is not None:
            self._last_speech = end
        clear_empty(segments)
        self.segments += [{"id": number, **one} for number, one in enumerate(segments, start=len(self.segments))]
        self.tokens += [token for segment in segments for token in segment["tokens"]]
        if not self.arguments["condition_on_previous_text"] or reading.result.temperature > PROMPT_TEMPERATURE:
            self._reset_since = len(self.tokens)

    def _flags(self, reading: Reading) -> frozenset[str]:
        earlier = [segment["text"] for segment in self.segments[-SEGMENTS_BEFORE:]]
        return (
            window_flags(reading.segments, self.loudness, earlier, task=self.options.task)
            if reading.kept
            else frozenset()
        )


def _better(first: Reading, its_flags: frozenset[str], second: Reading, other_flags: frozenset[str]) -> Reading:
    """Fewer flags, then the higher log probability: a loop is flagged, and always probable."""
    if len(its_flags) != len(other_flags):
        return first if len(its_flags) < len(other_flags) else second
    return first if first.result.avg_logprob >= second.result.avg_logprob else second
