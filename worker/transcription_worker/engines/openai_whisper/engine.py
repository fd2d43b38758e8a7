"""The openai-whisper engine: whisper.transcribe, called as its command calls it."""

import importlib.metadata
from collections.abc import Iterable, Iterator
from typing import Any

import torch
import whisper
from transcription_api.spec import EngineKind, LanguageDetection, Precision

from transcription_worker.engines.checkpoints.precision import dtype_of
from transcription_worker.engines.memory import host_or_device_memory
from transcription_worker.engines.openai_whisper.window_observer import WindowObserver, observe
from transcription_worker.engines.protocol import SAMPLE_RATE, Counters, Input, Options, Outcome, Transcript
from transcription_worker.engines.quality.flags import flag_segments
from transcription_worker.engines.unsupported_options import Accepted, refuse_unsupported
from transcription_worker.engines.whisper_arguments import refuse_language, transcribe_arguments
from transcription_worker.errors import WorkerError


class OpenAIWhisper:
    """Transcribes one file after the other, one window after the other."""

    name = f"openai-whisper {importlib.metadata.version('openai-whisper')}"

    def __init__(self, model: Any, precision: Precision = Precision.AUTO) -> None:
        self._model = model
        self._dtype = dtype_of(precision, model.device)

    def transcribe(self, inputs: Iterable[Input]) -> Iterator[Outcome]:
        """Implement protocol.Engine."""
        for item in inputs:
            try:
                yield Outcome(item.id, transcript=self._transcribe_file(item))
            except WorkerError as error:
                yield Outcome(item.id, error=error)

    def _transcribe_file(self, item: Input) -> Transcript:
        refuse_language(self._model.is_multilingual, item.options.language)
        observer = WindowObserver(item)
        arguments = transcribe_arguments(item.options, half=self._dtype is torch.float16)
        audio = item.open()
        try:
            with observe(self._model, observer), host_or_device_memory("transcribing"):
                result = whisper.transcribe(self._model, audio.read(0, audio.count), **arguments)
            flag_segments(result["segments"], audio, item.options)
        finally:
            audio.close()
        return Transcript(
            text=result["text"],
            segments=result["segments"],
            language=result["language"],
            language_probability=observer.language_probability,
            audio_seconds=audio.count / SAMPLE_RATE,
            counters=Counters(windows=observer.windows, fallbacks=observer.fallbacks),
            precision=str(self._dtype).removeprefix("torch."),
        )


# whisper.transcribe detects the language in one window; the default number of windows is accepted as that.
ACCEPTED = {"languageDetection.windows": Accepted((1, LanguageDetection().windows), "1")}


def refuse(options: Options) -> None:
    """Refuse options that whisper.transcribe does not have.

    Raises:
        WorkerError: EngineUnsuitable, which names the field.
    """
    refuse_unsupported(options, EngineKind.OPENAI_WHISPER, ACCEPTED)
