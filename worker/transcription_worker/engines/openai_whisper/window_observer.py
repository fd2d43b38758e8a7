"""Observes whisper.transcribe without changing what it computes.

whisper.transcribe reports neither progress nor the language's probability. But it calls `tqdm.tqdm` of its own module with
the number of frames it has moved on, `model.detect_language` and `model.decode`. A wrapper around each of the three passes
everything through, except for a language that languageDetection decides otherwise.
"""

import contextlib
import importlib
from collections.abc import Callable, Iterator
from types import SimpleNamespace
from typing import Any

from transcription_worker.engines.protocol import Input
from transcription_worker.engines.spoken_language import choose_language

# whisper.audio: N_FRAMES of a window, FRAMES_PER_SECOND
WINDOW_FRAMES = 3000
FRAMES_PER_SECOND = 100


class WindowObserver:
    """Counts the windows of one transcription and reports its progress and language to the input's callbacks."""

    def __init__(self, item: Input) -> None:
        self._input = item
        self._frames_total = 0
        self._frames_done = 0
        self._window_open = False
        self._first_temperature = item.options.decoding.temperatures[0]
        self.windows = 0
        self.fallbacks = 0
        self.language_probability: float | None = None

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
    original = module.tqdm
    module.tqdm = SimpleNamespace(tqdm=_progress_bar(observer))
    model.detect_language = _wrap_detect_language(model.detect_language, observer)
    model.decode = _wrap_decode(model.decode, observer)
    try:
        yield
    finally:
        module.tqdm = original
        # Uncovers the class's own methods.
        del model.detect_language, model.decode


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


def _wrap_detect_language(original: Callable[..., Any], observer: WindowObserver) -> Callable[..., Any]:
    def detect_language(*args: Any, **kwargs: Any) -> Any:
        tokens, probabilities = original(*args, **kwargs)
        return tokens, observer.on_language(probabilities)

    return detect_language


def _wrap_decode(original: Callable[..., Any], observer: WindowObserver) -> Callable[..., Any]:
    def decode(segment: Any, options: Any) -> Any:
        observer.on_decode(options.temperature)
        return original(segment, options)

    return decode
