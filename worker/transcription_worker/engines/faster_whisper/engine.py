"""The faster-whisper engine: CTranslate2's Whisper on openai-whisper's checkpoints, an optional extra of the worker.

It transcribes one file after the other. Each is in memory as a whole, since faster-whisper takes an array of samples. The
text is close to openai-whisper's, but not equal. Samples above temperature 0 depend on the files before, since CTranslate2 is
seeded once.
"""

import importlib.metadata
import importlib.util
import os
from collections.abc import Callable, Iterable, Iterator
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import torch
from transcription_api import reasons
from transcription_api.report import DeviceUsed
from transcription_api.spec import LongForm, Precision
from whisper.audio import HOP_LENGTH, N_FRAMES
from whisper.tokenizer import LANGUAGES

from transcription_worker.engines.checkpoints import weights
from transcription_worker.engines.checkpoints.model_file import ModelFile
from transcription_worker.engines.checkpoints.precision import dtype_of
from transcription_worker.engines.clips import FrameRange, clip_progress, clip_timestamps, frame_clips
from transcription_worker.engines.faster_whisper.cublas import load_cublas
from transcription_worker.engines.faster_whisper.options import batched_arguments, refuse_options, sequential_arguments
from transcription_worker.engines.faster_whisper.windows import observe_windows
from transcription_worker.engines.memory import host_or_device_memory, input_failure
from transcription_worker.engines.overflow import confirm
from transcription_worker.engines.protocol import SAMPLE_RATE, Counters, Input, Options, Outcome, Samples, Transcript
from transcription_worker.engines.quality.flags import flag_segments
from transcription_worker.engines.spoken_language import (
    LanguageProbabilities,
    average_probabilities,
    choose_language,
    detection_windows,
    refuse_nan,
)
from transcription_worker.engines.vocabulary import Vocabulary
from transcription_worker.errors import WorkerError
from transcription_worker.paths import container_paths
from transcription_worker.threads import observed_thread_count

Segment = dict[str, Any]

PACKAGES = ("faster_whisper", "ctranslate2", "tokenizers")
# Chunks of one file that are decoded together with longForm chunked; the library's own default.
BATCH_SIZE = 8
SEED = 0


def refuse(options: Options) -> None:
    """Refuse options before anything is fetched.

    Raises:
        WorkerError: EngineNotInstalled; EngineUnsuitable, with the field.
    """
    refuse_missing()
    refuse_options(options)


def refuse_missing() -> None:
    """Check that the optional packages are installed.

    Raises:
        WorkerError: EngineNotInstalled.
    """
    missing = [name for name in PACKAGES if importlib.util.find_spec(name) is None]
    if missing:
        packages = ", ".join(missing)
        message = f"spec.engine: faster-whisper needs {packages}, which are not here: install transcription-worker[faster-whisper]"
        raise WorkerError(reasons.ENGINE_NOT_INSTALLED, message)


def load(model: ModelFile, device: DeviceUsed, precision: Precision) -> "FasterWhisper":
    """Open the checkpoint, converted for CTranslate2 unless the cache holds a conversion of its digest.

    Raises:
        WorkerError: EngineNotInstalled, EngineUnsuitable, ModelInvalid, OutOfMemory.
    """
    refuse_missing()
    import faster_whisper

    kind = "cuda" if device.kind == "cuda" else "cpu"
    compute = compute_type(precision, kind)
    if kind == "cuda":
        load_cublas()
    folder = converted_model(model)
    with host_or_device_memory(f"loading model {model.used.name!r} on {kind}"):
        opened = faster_whisper.WhisperModel(
            str(folder), device=kind, compute_type=compute, cpu_threads=observed_thread_count()
        )
    return FasterWhisper(opened, compute)


def compute_type(precision: Precision, device: str) -> str:
    """CTranslate2's name of the precision.

    Raises:
        WorkerError: EngineUnsuitable, if the device does not compute in it.
    """
    import ctranslate2

    dtype = dtype_of(precision, torch.device(device))
    wanted = precision.value if precision is Precision.INT8 else str(dtype).removeprefix("torch.")
    known = ctranslate2.get_supported_compute_types(device)
    if wanted not in known:
        expected = ", ".join(one.value for one in Precision if one.value in known)
        message = f"spec.decoding.precision: got {wanted} with engine faster-whisper on this device, expected auto or one of {expected}"
        raise WorkerError(reasons.ENGINE_UNSUITABLE, message)
    return wanted


def converted_model(model: ModelFile) -> Path:
    """The folder with the model as CTranslate2 reads it, written if need be.

    Raises:
        WorkerError: ModelInvalid, OutOfMemory.
    """
    from transcription_worker.engines.faster_whisper.conversion import REVISION, ensure_converted

    folder = conversion_cache(model.path) / "ctranslate2" / f"{model.sha256}-{REVISION}"
    with weights.checkpoint_errors(model.used.name), host_or_device_memory(f"converting model {model.used.name!r}"):
        checkpoint = weights.read_checkpoint(model.path)
        ensure_converted(checkpoint, weights.official_name(checkpoint.dims, model.sha256), folder)
    return folder


def conversion_cache(model: Path) -> Path:
    """The first of these folders that is writable: the model cache, the model's own folder, the user's cache."""
    own = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "transcription-operator"
    choices = (container_paths().model_cache, model.parent)
    return next((folder for folder in choices if folder.is_dir() and os.access(folder, os.W_OK)), own)


class FasterWhisper:
    """Transcribes one file after the other.

    model: a faster_whisper.WhisperModel. precision: what it computes in. batch: chunks of one file decoded together.
    """

    def __init__(self, model: Any, precision: str, batch: int = BATCH_SIZE) -> None:
        import ctranslate2
        import faster_whisper

        versions = [importlib.metadata.version(name) for name in ("faster-whisper", "ctranslate2")]
        self.name = "faster-whisper {} (CTranslate2 {})".format(*versions)
        self._model = model
        self._pipeline = faster_whisper.BatchedInferencePipeline(model)
        self._precision, self._batch = precision, batch
        # Text of a prompt that looks like a special token is encoded as text.
        model.hf_tokenizer.encode_special_tokens = True
        ctranslate2.set_random_seed(SEED)

    def transcribe(self, inputs: Iterable[Input]) -> Iterator[Outcome]:
        """Implement protocol.Engine."""
        for item in inputs:
            try:
                yield Outcome(item.id, transcript=self._transcribe_file(item))
            except Exception as error:  # noqa: BLE001 - one input's failure is that input's outcome
                yield Outcome(item.id, error=input_failure(error))

    def _transcribe_file(self, item: Input) -> Transcript:
        refuse_options(item.options)
        self._vocabulary().refuse(item.options)
        audio = item.open()
        try:
            with host_or_device_memory("transcribing"):
                samples = audio.read(0, audio.count)
                language, probability = self._language(item, samples)
                segments, counters = self._segments(item, samples, language)
            flag_segments(segments, audio, item.options)
        finally:
            audio.close()
        _progress(item, audio.count)(audio.count / SAMPLE_RATE)
        return Transcript(
            text="".join(segment["text"] for segment in segments),
            segments=segments,
            language=language,
            language_probability=probability,
            audio_seconds=audio.count / SAMPLE_RATE,
            counters=counters,
            long_form=item.options.decoding.long_form.value,
            precision=self._precision,
        )

    def _language(self, item: Input, samples: Samples) -> tuple[str, float | None]:
        """The given language, or the one detected by the same rules as in the batched engine.

        faster-whisper's own detection reads the beginning of the file only.
        """
        if item.options.language is not None:
            return item.options.language, None
        if not self._model.model.is_multilingual:
            return "en", None
        clips = frame_clips(item.options, samples.size // HOP_LENGTH)
        windows = detection_windows(clips, samples.size // HOP_LENGTH, item.options.detection.windows)
        probabilities = [
            confirm(partial(self._language_probabilities, _joined(samples, pieces)), self._precision)
            for pieces in windows
        ]
        language, probability = choose_language(average_probabilities(probabilities), item.options.detection)
        item.on_language(language)
        return language, probability

    def _vocabulary(self) -> Vocabulary:
        tokenizer = self._model.hf_tokenizer
        known = tuple(code for code in LANGUAGES if tokenizer.token_to_id(f"<|{code}|>") is not None)
        return Vocabulary(known if self._model.model.is_multilingual else ("en",), tokenizer.get_vocab_size())

    def _language_probabilities(self, samples: Samples) -> LanguageProbabilities:
        from faster_whisper.audio import pad_or_trim

        model = self._model.model
        features = self._model.encode(pad_or_trim(self._model.feature_extractor(samples)[:, :N_FRAMES]))
        languages = {token[2:-2]: float(chance) for token, chance in model.detect_language(features)[0]}
        asked = [[self._token("<|startoftranscript|>")]]
        result = model.generate(features, asked, beam_size=1, max_length=2, return_no_speech_prob=True)[0]
        return refuse_nan(LanguageProbabilities(languages, float(result.no_speech_prob)))

    def _token(self, text: str) -> int:
        return int(self._model.hf_tokenizer.token_to_id(text))

    def _segments(self, item: Input, samples: Samples, language: str) -> tuple[list[Segment], Counters]:
        start, chunked = self._token("<|startoftranscript|>"), item.options.decoding.long_form is LongForm.CHUNKED
        temperatures = item.options.decoding.temperatures
        with observe_windows(self._model, self._pipeline, temperatures, self._precision) as tally:
            if chunked:
                arguments = batched_arguments(item.options, start, self._batch)
                found, _ = self._pipeline.transcribe(samples, language=language, **arguments)
            else:
                clips = clip_timestamps(item.options, samples.size // HOP_LENGTH)
                arguments = sequential_arguments(item.options, start) | {"clip_timestamps": clips}
                found, _ = self._model.transcribe(samples, language=language, **arguments)
            segments = list(_consume(found, _progress(item, samples.size)))
            return segments, Counters(tally.windows, tally.steps, tally.fallbacks)


def _joined(samples: Samples, pieces: list[FrameRange]) -> Samples:
    return np.concatenate([samples[start * HOP_LENGTH : end * HOP_LENGTH] for start, end in pieces])


def _progress(item: Input, samples: int) -> Callable[[float], None]:
    """The progress callback of an input; it takes a place in the file, in seconds."""
    return clip_progress(frame_clips(item.options, samples // HOP_LENGTH), item.on_progress)


def _consume(found: Iterable[Any], advance: Callable[[float], None]) -> Iterator[Segment]:
    """Convert segments as they come: faster-whisper decodes while its segments are iterated over."""
    for number, segment in enumerate(found):
        yield openai_segment(number, segment)
        advance(float(segment.end))


def openai_segment(number: int, segment: Any) -> Segment:
    """Convert a faster_whisper.transcribe.Segment: openai-whisper's keys in their order, and numbers that JSON can hold."""
    made: Segment = {
        "id": number,
        "seek": int(segment.seek),
        "start": float(segment.start),
        "end": float(segment.end),
        "text": segment.text,
        "tokens": [int(token) for token in segment.tokens],
        "temperature": float(segment.temperature),
        "avg_logprob": float(segment.avg_logprob),
        "compression_ratio": float(segment.compression_ratio),
        "no_speech_prob": float(segment.no_speech_prob),
    }
    if segment.words is not None:
        made["words"] = [
            {
                "word": word.word,
                "start": float(word.start),
                "end": float(word.end),
                "probability": float(word.probability),
            }
            for word in segment.words
        ]
    return made
