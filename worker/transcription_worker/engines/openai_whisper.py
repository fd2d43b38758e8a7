"""openai-whisper itself: its `transcribe`, called as its command calls it."""

import importlib.metadata
from collections.abc import Iterable, Iterator
from typing import Any

import numpy as np
import torch
import whisper
from transcription_api import reasons
from transcription_api.spec import (
    DEFAULT_BEAM_SIZE,
    DEFAULT_BEST_OF,
    Clip,
    Decoding,
    LanguageDetection,
    LongForm,
    Precision,
    QualityPolicy,
)

from transcription_worker.engines.memory import host_or_device_memory
from transcription_worker.engines.precision import dtype_of
from transcription_worker.engines.protocol import SAMPLE_RATE, Counters, Input, Options, Outcome, Transcript
from transcription_worker.engines.quality import flag_segments
from transcription_worker.engines.watching import Watch, watched
from transcription_worker.errors import WorkerError

# As the command counts them up: its 0.6 is 0.6000000000000001, which the json shows.
COMMAND_TEMPERATURES = tuple(float(step) for step in np.arange(0.0, 1.0 + 1e-6, 0.2))


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


def refuse_language(multilingual: bool, language: str | None) -> None:
    """A model of English alone would write English-looking text and call it another language."""
    if not multilingual and language not in (None, "en"):
        message = f"spec.language: got {language!r}, expected 'en' or auto: the model knows English alone"
        raise WorkerError(reasons.MODEL_INVALID, message)


def transcribe_arguments(options: Options, half: bool) -> dict[str, Any]:
    """Keyword arguments of whisper.transcribe with the command's defaults. `half`: float16, which only a GPU has."""
    decoding = options.decoding
    return {
        "verbose": None,
        "temperature": _temperatures(decoding),
        "compression_ratio_threshold": decoding.compression_ratio_threshold,
        "logprob_threshold": decoding.logprob_threshold,
        "no_speech_threshold": decoding.no_speech_threshold,
        "hallucination_silence_threshold": decoding.hallucination_silence_threshold,
        "clip_timestamps": clip_timestamps(options.clips),
        "condition_on_previous_text": decoding.condition_on_previous_text,
        "initial_prompt": decoding.initial_prompt,
        "carry_initial_prompt": decoding.carry_initial_prompt,
        "word_timestamps": decoding.word_timestamps,
        "task": options.task.value,
        "language": options.language,
        "beam_size": None if _greedy(decoding) else decoding.beam_size or DEFAULT_BEAM_SIZE,
        "best_of": decoding.best_of or DEFAULT_BEST_OF,
        "patience": None if _greedy(decoding) else decoding.patience,
        "length_penalty": decoding.length_penalty,
        "suppress_tokens": list(decoding.suppress_tokens),
        "without_timestamps": decoding.without_timestamps,
        "fp16": half,
    }


def _greedy(decoding: Decoding) -> bool:
    """One beam ends with the tokens of the greedy decoder, which is quicker."""
    return decoding.beam_size == 1 and round(decoding.patience or 1.0) == 1


def clip_timestamps(clips: tuple[Clip, ...]) -> list[float]:
    """Starts and ends in turn, as transcribe takes them; a last clip without an end goes to the end of the audio."""
    return [point for clip in clips for point in (clip.start, clip.end) if point is not None] or [0.0]


def _temperatures(decoding: Decoding) -> tuple[float, ...]:
    same = [round(step, 1) for step in COMMAND_TEMPERATURES] == list(decoding.temperatures)
    return COMMAND_TEMPERATURES if same else decoding.temperatures
