"""openai-whisper itself: its `transcribe`, called as its command calls it."""

import importlib.metadata
from collections.abc import Iterable, Iterator
from typing import Any

import torch
import whisper
from transcription_api import reasons
from transcription_api.spec import (
    LanguageDetection,
    LongForm,
    Precision,
    QualityPolicy,
)

from transcription_worker.engines.checkpoints.precision import dtype_of
from transcription_worker.engines.memory import host_or_device_memory
from transcription_worker.engines.openai_whisper.window_observer import Watch, watched
from transcription_worker.engines.protocol import SAMPLE_RATE, Counters, Input, Options, Outcome, Transcript
from transcription_worker.engines.quality.flags import flag_segments
from transcription_worker.engines.whisper_arguments import refuse_language, transcribe_arguments
from transcription_worker.errors import WorkerError


class OpenAIWhisper:
    """One file after the other, one window after the other."""

    name = f"openai-whisper {importlib.metadata.version('openai-whisper')}"

    def __init__(self, model: Any, precision: Precision = Precision.AUTO) -> None:
        self._model = model
        self._dtype = dtype_of(precision, model.device)

    def transcribe(self, inputs: Iterable[Input]) -> Iterator[Outcome]:
        """As protocol.Engine."""
        for item in inputs:
            try:
                yield Outcome(item.id, transcript=self._one(item))
            except WorkerError as error:
                yield Outcome(item.id, error=error)

    def _one(self, item: Input) -> Transcript:
        refuse_language(self._model.is_multilingual, item.options.language)
        watch = Watch(item)
        arguments = transcribe_arguments(item.options, half=self._dtype is torch.float16)
        audio = item.open()
        try:
            with watched(self._model, watch), host_or_device_memory("transcribing"):
                result = whisper.transcribe(self._model, audio.read(0, audio.count), **arguments)
            flag_segments(result["segments"], audio, item.options)
        finally:
            audio.close()
        return Transcript(
            text=result["text"],
            segments=result["segments"],
            language=result["language"],
            language_probability=watch.language_probability,
            audio_seconds=audio.count / SAMPLE_RATE,
            counters=Counters(windows=watch.windows, fallbacks=watch.fallbacks),
            precision=str(self._dtype).removeprefix("torch."),
        )


def refuse(options: Options) -> None:
    """What transcribe does not have. Raises WorkerError (EngineUnsuitable)."""
    if options.decoding.precision is Precision.BFLOAT16:
        raise _unsuitable("decoding.precision", "bfloat16", "auto, float32 or float16")
    if options.decoding.long_form is not LongForm.SEQUENTIAL:
        raise _unsuitable("decoding.longForm", options.decoding.long_form.value, "sequential")
    if options.quality.policy is QualityPolicy.RETRY:
        raise _unsuitable("quality.policy", "retry", "warn or fail")
    # The default is taken for the one window that transcribe looks at.
    if options.language is None and options.detection.windows not in (1, LanguageDetection().windows):
        raise _unsuitable("languageDetection.windows", options.detection.windows, "1")


def _unsuitable(field: str, value: object, expected: str) -> WorkerError:
    message = f"spec.{field}: got {value} with engine openai-whisper, expected {expected}, or engine batched"
    return WorkerError(reasons.ENGINE_UNSUITABLE, message)
