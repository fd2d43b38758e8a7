"""Sees what whisper.transcribe does, without changing what it computes.

transcribe gives no progress and no language probability. It does call `tqdm.tqdm` of its own module with the number of
frames it moved on, `model.detect_language` and `model.decode`: a listener at each of the three passes everything through,
but for a language that languageDetection decides otherwise.
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


class Watch:
    """What was seen of one transcription."""

    def __init__(self, of: Input) -> None:
        self._input = of
        self._frames_total = 0
        self._frames_done = 0
        self._window_open = False
        self._first_temperature = of.options.decoding.temperatures[0]
        self.windows = 0
        self.fallbacks = 0
        self.language_probability: float | None = None

    def begin(self, frames_total: int) -> None:
        self._frames_total = frames_total

    def detected(self, probabilities: dict[str, float]) -> dict[str, float]:
        """What transcribe is to take for the probabilities: those of the language that was decided on."""
        language, probability = choose_language(probabilities, self._input.options.detection)
        self.language_probability = float(probability)
        self._input.on_language(language)
        return {language: probability}

    def decoding(self, temperature: float) -> None:
        """A window's decoding begins. transcribe says nothing of a window it skips as silent: the next one tells."""
        if temperature != self._first_temperature:
            self.fallbacks += 1
            return
        if self._window_open:
            self._move(WINDOW_FRAMES)
        self._window_open = True
        self.windows += 1

    def moved(self, frames: int) -> None:
        self._window_open = False
        self._move(frames)

    def _move(self, frames: int) -> None:
        self._frames_done = min(self._frames_total, self._frames_done + frames)
        self._input.on_progress(self._frames_done / FRAMES_PER_SECOND)


@contextlib.contextmanager
def watched(model: Any, watch: Watch) -> Iterator[None]:
    """One transcription at a time: the listeners are on the model and on whisper's module."""
    # `whisper.transcribe` is the function: the package hides its module of the same name.
    module: Any = importlib.import_module("whisper.transcribe")
    original = module.tqdm
    module.tqdm = SimpleNamespace(tqdm=_bar(watch))
    model.detect_language = _detecting(model.detect_language, watch)
    model.decode = _decoding(model.decode, watch)
    try:
        yield
    finally:
        module.tqdm = original
        # The class's own methods come back.
        del model.detect_language, model.decode


def _bar(watch: Watch) -> type:
    class Bar:
        """As much of tqdm as transcribe uses."""

        def __init__(self, total: int, **_: Any) -> None:
            watch.begin(total)

        def __enter__(self) -> "Bar":
            return self

        def __exit__(self, *_: object) -> None:
            """Nothing is held."""

        def update(self, frames: int) -> None:
            watch.moved(frames)

    return Bar


def _detecting(original: Callable[..., Any], watch: Watch) -> Callable[..., Any]:
    def detect_language(*args: Any, **kwargs: Any) -> Any:
        tokens, probabilities = original(*args, **kwargs)
        return tokens, watch.detected(probabilities)

    return detect_language


def _decoding(original: Callable[..., Any], watch: Watch) -> Callable[..., Any]:
    def decode(segment: Any, options: Any) -> Any:
        watch.decoding(options.temperature)
        return original(segment, options)

    return decode
