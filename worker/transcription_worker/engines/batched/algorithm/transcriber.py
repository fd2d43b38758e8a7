"""The sequential algorithm of one file: whisper.transcribe's loop over windows, as a generator of requests."""

import math
from collections.abc import Callable, Generator
from dataclasses import dataclass, field, replace
from functools import partial
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
from transcription_worker.engines.batched.algorithm.segmentation import (
    Segment,
    SegmentedWindow,
    Window,
    clear_empty,
    segment_window,
)
from transcription_worker.engines.batched.algorithm.temperature_fallback import (
    FallbackResult,
    Thresholds,
    decode_with_fallback,
)
from transcription_worker.engines.batched.algorithm.word_timestamps import add_words, text_tokens
from transcription_worker.engines.batched.requests import AlignRequest, EncodeRequest, Request
from transcription_worker.engines.overflow import NotANumberError, confirm_requests
from transcription_worker.engines.prompt import carry_prompt, encode_prompt
from transcription_worker.engines.protocol import Counters, Options, PartCheckpoint
from transcription_worker.engines.quality.flags import window_flags
from transcription_worker.engines.speech.loudness import Loudness
from transcription_worker.engines.standstill import hold_last_word

# Text decoded above this temperature does not become the prompt of the next window: whisper.transcribe.
PROMPT_TEMPERATURE = 0.5
# Arguments of whisper.transcribe that each window's DecodingOptions take as they are.
DECODING_OPTIONS = (
    "task",
    "beam_size",
    "best_of",
    "patience",
    "length_penalty",
    "suppress_tokens",
    "without_timestamps",
)

# Every frame has a range of seeds of its own: one for each attempt, and further ones for a retry of the window.
SEEDS_PER_FRAME = 64
RETRY_SEED = 32

# Earlier segments in which a repetition loop may have begun: one that counts has ten words.
LOOP_SEGMENTS = 16


@dataclass(frozen=True)
class DecodedWindow:
    """What was decoded of a window. seek: the frame where the next window begins.

    keep: False if the window is silent, or is to be decoded again from `seek`.
    """

    result: DecodingResult
    segments: list[Segment]
    seek: int
    keep: bool


@dataclass
class Transcriber:
    """The state that whisper.transcribe keeps from window to window.

    arguments: keyword arguments of whisper.transcribe. clips: frames [start, end). stride: frames for one timestamp token.
    context: tokens that the text decoder takes. precision: what the model computes in, for messages. encoded: features of
    whole windows that are known already, by their first frame. part: number of this part of the input. resumed: where to go
    on, None for the beginning. on_checkpoint: called after each window with the state that the next one begins with.
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
    precision: str = "float32"
    encoded: dict[int, Tensor] = field(default_factory=dict)
    segments: list[Segment] = field(default_factory=list)
    tokens: list[int] = field(default_factory=list)
    counters: Counters = field(default_factory=Counters)
    part: int = 0
    resumed: PartCheckpoint | None = None
    on_checkpoint: Callable[[PartCheckpoint], None] | None = None
    _prompt: list[int] = field(default_factory=list)
    _reset_since: int = 0
    _last_speech: float = 0.0

    def run(self) -> Generator[Request, Any, "Transcriber"]:
        """Transcribe all windows of all clips. Returns itself, with the segments and counters filled in."""
        if (prompt := self.arguments["initial_prompt"]) is not None:
            self._prompt = encode_prompt(self.tokenizer, prompt)
            self.tokens.extend(self._prompt)
        first, seek = (0, None) if self.resumed is None else self._restore(self.resumed)
        for number, (start, end) in enumerate(self.clips[first:], first):
            seek = start if seek is None else seek
            while seek < end:
                window = Window(seek, min(N_FRAMES, self.mel.frames - seek, end - seek), self.stride)
                seek = yield from confirm_requests(partial(self._transcribe_window, window), self.precision)
                self._advanced(number, seek)
            seek = None
        return self

    def for_part(
        self,
        part: int,
        clips: list[tuple[int, int]],
        on_progress: Callable[[float], None],
        resumed: PartCheckpoint | None,
    ) -> "Transcriber":
        """A fresh transcriber for other clips of the same file."""
        fresh = replace(self, segments=[], tokens=[], counters=Counters(), _prompt=[])
        return replace(fresh, part=part, clips=clips, on_progress=on_progress, resumed=resumed)

    def _restore(self, checkpoint: PartCheckpoint) -> tuple[int, int]:
        """Take over the state of a checkpoint. Returns the clip and the frame to go on with."""
        self.segments, self.tokens = list(checkpoint.segments), list(checkpoint.tokens)
        self.counters = checkpoint.counters
        self._reset_since, self._last_speech = checkpoint.reset_since, checkpoint.last_speech
        self._tell_progress(checkpoint.seek)
        return checkpoint.clip, checkpoint.seek

    def _advanced(self, clip: int, seek: int) -> None:
        """Tell that everything before the frame `seek` of the clip is done."""
        self._tell_progress(seek)
        if self.on_checkpoint is not None:
            state = (tuple(self.segments), tuple(self.tokens), self._reset_since, self._last_speech, self.counters)
            self.on_checkpoint(PartCheckpoint(self.part, clip, seek, *state))

    def _tell_progress(self, seek: int) -> None:
        self.on_progress(min(seek, self.mel.frames) / FRAMES_PER_SECOND)

    @property
    def text(self) -> str:
        """The text of all windows, without the initial prompt."""
        return str(self.tokenizer.decode(self.tokens[len(self._prompt) :]))

    def _transcribe_window(self, window: Window) -> Generator[Request, Any, int]:
        """Decode a window and keep its segments. Returns the frame where the next window begins."""
        features = yield from self._encode(window)
        temperatures = self.arguments["temperature"]
        decoded = yield from self._decode(features, window, self._next_prompt(), temperatures, seed=0)
        if self.options.quality.policy is QualityPolicy.RETRY and (flags := self._flags(decoded)):
            later = temperatures[temperatures.index(decoded.result.temperature) + 1 :]
            other = yield from self._decode(features, window, [], later or temperatures, seed=RETRY_SEED)
            self.counters = replace(self.counters, retried=self.counters.retried + 1)
            decoded = _better(decoded, flags, other, self._flags(other))
        if decoded.keep:
            self._keep(decoded)
        return decoded.seek

    def _encode(self, window: Window) -> Generator[Request, Any, Tensor]:
        known = self.encoded.pop(window.seek, None) if window.size == N_FRAMES else None
        if known is not None:
            return known
        features: Tensor = yield EncodeRequest(partial(self.mel.window, window.seek, window.size, self.dtype))
        return features

    def _next_prompt(self) -> list[int]:
        if not self.arguments["carry_initial_prompt"]:
            return self.tokens[self._reset_since :]
        since = max(len(self._prompt), self._reset_since)
        return carry_prompt(self._prompt, self.tokens[since:], self.context // 2 - 1)

    def _decode(
        self, features: Tensor, window: Window, prompt: list[int], temperatures: tuple[float, ...], seed: int
    ) -> Generator[Request, Any, DecodedWindow]:
        options = {name: self.arguments[name] for name in DECODING_OPTIONS} | {"prompt": prompt}
        options |= {"language": self.language, "fp16": self.dtype is torch.float16}
        seed += self.options.seed + window.seek * SEEDS_PER_FRAME
        fallback: FallbackResult = yield from decode_with_fallback(
            features, options, temperatures, self._thresholds, seed
        )
        self._count(fallback)
        if self._thresholds.should_skip(fallback.result):
            return DecodedWindow(fallback.result, [], window.seek + window.size, keep=False)
        segmented = segment_window(window, fallback.result, self.tokenizer)
        again = self.arguments["word_timestamps"] and (yield from self._add_words(features, window, segmented))
        return DecodedWindow(fallback.result, segmented.segments, segmented.seek, keep=not again)

    def _count(self, fallback: FallbackResult) -> None:
        counters = self.counters
        self.counters = replace(
            counters,
            windows=counters.windows + 1,
            steps=counters.steps + fallback.steps,
            fallbacks=counters.fallbacks + fallback.attempts - 1,
        )

    @property
    def _thresholds(self) -> Thresholds:
        names = ("compression_ratio_threshold", "logprob_threshold", "no_speech_threshold")
        return Thresholds(*(self.arguments[name] for name in names))

    def _add_words(self, features: Tensor, window: Window, segmented: SegmentedWindow) -> Generator[Request, Any, bool]:
        """Add words to the segments. Returns True if the window is to be decoded again from `segmented.seek`."""
        tokens = text_tokens(segmented.segments, self.tokenizer)
        alignment = (yield AlignRequest(features, tokens, window.size, self.tokenizer)) if tokens else []
        if any(math.isnan(word.probability) for word in alignment):
            raise NotANumberError
        add_words(segmented.segments, self.tokenizer, alignment, self._last_speech)
        hold_last_word(segmented.segments, window.seek, window.start)
        segmented.seek = seek_after_words(segmented, window)
        threshold = self.arguments["hallucination_silence_threshold"]
        return threshold is not None and skip_silence(segmented, window, threshold, self._last_speech, self.mel.frames)

    def _keep(self, decoded: DecodedWindow) -> None:
        segments = decoded.segments
        if self.arguments["word_timestamps"] and (end := get_end(segments)) is not None:
            self._last_speech = end
        clear_empty(segments)
        self.segments += [{"id": number, **one} for number, one in enumerate(segments, start=len(self.segments))]
        self.tokens += [token for segment in segments for token in segment["tokens"]]
        if not self.arguments["condition_on_previous_text"] or decoded.result.temperature > PROMPT_TEMPERATURE:
            self._reset_since = len(self.tokens)

    def _flags(self, decoded: DecodedWindow) -> frozenset[str]:
        if not decoded.keep:
            return frozenset()
        earlier = [segment["text"] for segment in self.segments[-LOOP_SEGMENTS:]]
        return window_flags(decoded.segments, self.loudness, earlier, task=self.options.task)


def _better(
    first: DecodedWindow, first_flags: frozenset[str], second: DecodedWindow, second_flags: frozenset[str]
) -> DecodedWindow:
    """The one with fewer flags, then with the higher log probability: a loop is always probable, but it is flagged."""
    if len(first_flags) != len(second_flags):
        return first if len(first_flags) < len(second_flags) else second
    return first if first.result.avg_logprob >= second.result.avg_logprob else second
