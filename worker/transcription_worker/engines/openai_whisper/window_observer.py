"""Observes whisper.transcribe, and changes what it computes only where it fails or never ends.

whisper.transcribe reports neither progress nor the language's probability. But it calls `tqdm.tqdm` of its own module with
the number of frames it has moved on, `get_tokenizer`, `add_word_timestamps`, `model.detect_language` and `model.decode`. A
wrapper around each of them passes everything through, except for

- a language that languageDetection decides otherwise,
- a prompt with the text of a special token, for which the library raises ValueError,
- a prompt to be carried that is longer than the text decoder takes, of which the library loses more with each window,
- timestamps and words that leave the next window where this one is, with which the library never ends,
- a model that gives NaN, whose text is nonsense.
"""

import contextlib
import copy
import dataclasses
import importlib
from collections.abc import Callable, Iterator
from types import SimpleNamespace
from typing import Any

import torch

from transcription_worker.engines.overflow import NotANumberError, confirm, overflow
from transcription_worker.engines.prompt import carry_prompt, encode_prompt
from transcription_worker.engines.protocol import Input
from transcription_worker.engines.spoken_language import choose_language
from transcription_worker.engines.standstill import drop_standstill, hold_last_word

# whisper.audio: N_FRAMES of a window, FRAMES_PER_SECOND
WINDOW_FRAMES = 3000
FRAMES_PER_SECOND = 100


class WindowObserver:
    """Counts the windows of one transcription and reports its progress and language to the input's callbacks.

    precision: what the model computes in, for messages. context: tokens that the text decoder takes.
    """

    def __init__(self, item: Input, precision: str = "float32", context: int = 448) -> None:
        self._input = item
        self.precision = precision
        self._prompt_room = context // 2 - 1
        self._initial_prompt_length = 0
        self.timestamp_begin = 0
        self._frames_total = 0
        self._frames_done = 0
        self._window_open = False
        self._first_temperature = item.options.decoding.temperatures[0]
        self.windows = 0
        self.fallbacks = 0
        self.language_probability: float | None = None

    def on_initial_prompt(self, tokens: list[int]) -> None:
        self._initial_prompt_length = len(tokens)

    def prompted(self, options: Any) -> Any:
        """The options of a window, with as much of a carried prompt as there is room for."""
        if not self._input.options.decoding.carry_initial_prompt:
            return options
        prompt, length = options.prompt, self._initial_prompt_length
        return dataclasses.replace(options, prompt=carry_prompt(prompt[:length], prompt[length:], self._prompt_room))

    def on_start(self, frames_total: int) -> None:
        self._frames_total = frames_total

    def on_language(self, probabilities: dict[str, float]) -> dict[str, float]:
        """Decide on the language. Returns the probabilities that whisper.transcribe is to see: of that language alone."""
        language, probability = choose_language(probabilities, self._input.options.detection)
        self.language_probability = float(probability)
        self._input.on_language(language)
        return {language: probability}

    def on_decode(self, temperature: float) -> None:
        """The decoding of a window begins.

        whisper.transcribe reports no progress for a window that it skips as silent, so that only the next window tells.
        """
        if temperature != self._first_temperature:
            self.fallbacks += 1
            return
        if self._window_open:
            self._advance(WINDOW_FRAMES)
        self._window_open = True
        self.windows += 1

    def on_update(self, frames: int) -> None:
        self._window_open = False
        self._advance(frames)

    def _advance(self, frames: int) -> None:
        self._frames_done = min(self._frames_total, self._frames_done + frames)
        self._input.on_progress(self._frames_done / FRAMES_PER_SECOND)


@contextlib.contextmanager
def observe(model: Any, observer: WindowObserver) -> Iterator[None]:
    """Observe one transcription at a time: the wrappers are set on the model and on whisper's module."""
    # The module: `whisper.transcribe` is the function, which hides the module of the same name.
    module: Any = importlib.import_module("whisper.transcribe")
    originals = module.tqdm, module.get_tokenizer, module.add_word_timestamps
    module.tqdm = SimpleNamespace(tqdm=_progress_bar(observer))
    module.get_tokenizer = _wrap_get_tokenizer(module.get_tokenizer, observer)
    module.add_word_timestamps = _wrap_add_word_timestamps(module.add_word_timestamps)
    model.detect_language = _wrap_detect_language(model.detect_language, observer)
    model.decode = _wrap_decode(model.decode, observer)
    hook = model.decoder.register_forward_hook(_refuse_nan)
    try:
        yield
    except NotANumberError as error:  # from the alignment of words, after a decoding that was fine
        raise overflow(observer.precision) from error
    finally:
        hook.remove()
        module.tqdm, module.get_tokenizer, module.add_word_timestamps = originals
        # Uncovers the class's own methods.
        del model.detect_language, model.decode


def _refuse_nan(_module: Any, _arguments: Any, logits: torch.Tensor) -> None:
    if bool(logits.isnan().any()):
        raise NotANumberError


def _progress_bar(observer: WindowObserver) -> type:
    class ProgressBar:
        """The part of tqdm that whisper.transcribe uses."""

        def __init__(self, total: int, **_: Any) -> None:
            observer.on_start(total)

        def __enter__(self) -> "ProgressBar":
            return self

        def __exit__(self, *_: object) -> None:
            """Nothing to clean up."""

        def update(self, frames: int) -> None:
            observer.on_update(frames)

    return ProgressBar


def _wrap_get_tokenizer(original: Callable[..., Any], observer: WindowObserver) -> Callable[..., Any]:
    def get_tokenizer(*args: Any, **kwargs: Any) -> Any:
        tokenizer = original(*args, **kwargs)

        def encode(prompt: str) -> list[int]:
            tokens = encode_prompt(tokenizer, prompt)
            observer.on_initial_prompt(tokens)
            return tokens

        # A copy, since the library keeps its tokenizers.
        observer.timestamp_begin = tokenizer.timestamp_begin
        observed = copy.copy(tokenizer)
        observed.encode = encode
        return observed

    return get_tokenizer


def _wrap_add_word_timestamps(original: Callable[..., None]) -> Callable[..., None]:
    def add_word_timestamps(*, segments: list[dict[str, Any]], **arguments: Any) -> None:
        original(segments=segments, **arguments)
        frame = segments[0]["seek"]
        hold_last_word(segments, frame, frame / FRAMES_PER_SECOND)

    return add_word_timestamps


def _wrap_detect_language(original: Callable[..., Any], observer: WindowObserver) -> Callable[..., Any]:
    def detect_language(*args: Any, **kwargs: Any) -> Any:
        tokens, probabilities = confirm(lambda: original(*args, **kwargs), observer.precision)
        return tokens, observer.on_language(probabilities)

    return detect_language


def _wrap_decode(original: Callable[..., Any], observer: WindowObserver) -> Callable[..., Any]:
    def decode(segment: Any, options: Any) -> Any:
        observer.on_decode(options.temperature)
        prompted = observer.prompted(options)
        result = confirm(lambda: original(segment, prompted), observer.precision)
        return dataclasses.replace(result, tokens=drop_standstill(result.tokens, observer.timestamp_begin))

    return decode
