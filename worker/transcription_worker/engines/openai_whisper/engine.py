"""The openai-whisper engine: whisper.transcribe, called as its command calls it."""

import importlib.metadata
from collections.abc import Iterable, Iterator
from typing import Any

import numpy as np
import torch
import whisper
from transcription_api.spec import EngineKind, LanguageDetection, Precision
from whisper.audio import HOP_LENGTH, N_FRAMES, N_SAMPLES, log_mel_spectrogram, pad_or_trim

from transcription_worker.engines.checkpoints.precision import dtype_of
from transcription_worker.engines.clips import clip_timestamps, frame_clips
from transcription_worker.engines.memory import host_or_device_memory, input_failure
from transcription_worker.engines.openai_whisper.window_observer import WindowObserver, observe
from transcription_worker.engines.protocol import SAMPLE_RATE, Counters, Input, Options, Outcome, Samples, Transcript
from transcription_worker.engines.quality.flags import flag_segments
from transcription_worker.engines.spoken_language import detection_windows
from transcription_worker.engines.unsupported_options import Accepted, refuse_unsupported
from transcription_worker.engines.vocabulary import Vocabulary
from transcription_worker.engines.whisper_arguments import transcribe_arguments


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
            except Exception as error:  # noqa: BLE001 - one input's failure is that input's outcome
                yield Outcome(item.id, error=input_failure(error))

    def _transcribe_file(self, item: Input) -> Transcript:
        Vocabulary.of(self._model).refuse(item.options)
        precision = str(self._dtype).removeprefix("torch.")
        observer = WindowObserver(item, precision, self._model.dims.n_text_ctx)
        arguments = transcribe_arguments(item.options, half=self._dtype is torch.float16)
        audio = item.open()
        try:
            with observe(self._model, observer), host_or_device_memory("transcribing"):
                samples = audio.read(0, audio.count)
                arguments["clip_timestamps"] = clip_timestamps(item.options, audio.count // HOP_LENGTH)
                if item.options.clips and item.options.language is None and self._model.is_multilingual:
                    arguments["language"] = self._language_of_clips(item.options, samples)
                result = whisper.transcribe(self._model, samples, **arguments)
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
            precision=precision,
        )

    def _language_of_clips(self, options: Options, samples: Samples) -> str:
        """Detect the language in the first 30 s of the clips; whisper.transcribe listens to the file's beginning."""
        frames = samples.size // HOP_LENGTH
        (pieces,) = detection_windows(frame_clips(options, frames), frames, count=1)
        heard = np.concatenate([samples[start * HOP_LENGTH : end * HOP_LENGTH] for start, end in pieces])
        mel = log_mel_spectrogram(heard, self._model.dims.n_mels, padding=N_SAMPLES, device=self._model.device)
        _, probabilities = self._model.detect_language(pad_or_trim(mel, N_FRAMES).to(self._dtype))
        (language,) = probabilities
        return str(language)


# whisper.transcribe detects the language in one window; the default number of windows is accepted as that.
ACCEPTED = {"languageDetection.windows": Accepted((1, LanguageDetection().windows), "1")}


def refuse(options: Options) -> None:
    """Refuse options that whisper.transcribe does not have.

    Raises:
        WorkerError: EngineUnsuitable, which names the field.
    """
    refuse_unsupported(options, EngineKind.OPENAI_WHISPER, ACCEPTED)
