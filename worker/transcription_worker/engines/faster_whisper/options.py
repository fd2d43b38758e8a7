"""Our options as faster-whisper's, and which of them it has no place for: those are refused by name, never dropped.

Read in faster-whisper 1.2.1 (transcribe.py). Its WhisperModel follows openai-whisper's algorithm. Its BatchedInferencePipeline,
for longForm chunked, decodes each piece once: it takes the first temperature alone and looks at no threshold.
"""

from collections.abc import Iterator
from typing import Any

from transcription_api import reasons
from transcription_api.spec import DEFAULT_BEAM_SIZE, DEFAULT_BEST_OF, Decoding, LongForm, QualityPolicy

from transcription_worker.engines.clips import clip_timestamps
from transcription_worker.engines.protocol import Options
from transcription_worker.errors import WorkerError

Refusal = tuple[str, object, str]  # field of the spec, what it is, what was expected

_DEFAULT = Decoding()
# No temperature above 0 is tried, and none is sampled at: the pipeline takes the likeliest token at any temperature.
ONE_TEMPERATURE = (0.0,)


def refuse_options(options: Options) -> None:
    """Raises WorkerError (EngineUnsuitable) with the first field that faster-whisper cannot honour."""
    for field, value, expected in _refusals(options):
        message = f"spec.{field}: got {value} with engine faster-whisper, expected {expected}, or engine batched"
        raise WorkerError(reasons.ENGINE_UNSUITABLE, message)


def _refusals(options: Options) -> Iterator[Refusal]:
    decoding = options.decoding
    if decoding.carry_initial_prompt:
        yield "decoding.carryInitialPrompt", "true", "false"
    if decoding.length_penalty is not None:
        # CTranslate2 divides by length^penalty, openai-whisper by ((5 + length) / 6)^penalty.
        yield (
            "decoding.lengthPenalty",
            decoding.length_penalty,
            "none, since CTranslate2 weighs length by another formula",
        )
    if options.quality.policy is QualityPolicy.RETRY:
        yield "quality.policy", "retry", "warn or fail"
    if decoding.long_form is LongForm.CHUNKED:
        yield from _refusals_of_batched(options)


def _refusals_of_batched(options: Options) -> Iterator[Refusal]:
    """A threshold that was left at its default was not asked for."""
    decoding, chunked = options.decoding, "with longForm chunked, where faster-whisper decodes once"
    if decoding.temperatures != ONE_TEMPERATURE:
        yield "decoding.temperatures", list(decoding.temperatures), f"[0] {chunked}"
    if decoding.best_of is not None:
        yield "decoding.bestOf", decoding.best_of, f"none {chunked}"
    for field, name in _THRESHOLDS.items():
        value, default = getattr(decoding, name), getattr(_DEFAULT, name)
        if value != default:
            yield f"decoding.{field}", value, f"none {chunked} and ignores it"
    if options.clips:
        yield (
            "audio.clips",
            f"{len(options.clips)} of them",
            "none with longForm chunked, where faster-whisper cuts clips off at 30 s",
        )


_THRESHOLDS = {
    "compressionRatioThreshold": "compression_ratio_threshold",
    "logprobThreshold": "logprob_threshold",
    "noSpeechThreshold": "no_speech_threshold",
    "hallucinationSilenceThreshold": "hallucination_silence_threshold",
}


def sequential_arguments(options: Options, start_of_transcript: int) -> dict[str, Any]:
    """Of WhisperModel.transcribe, but for the language."""
    decoding = options.decoding
    return _shared(options, start_of_transcript) | {
        "temperature": list(decoding.temperatures),
        "best_of": decoding.best_of or DEFAULT_BEST_OF,
        "compression_ratio_threshold": decoding.compression_ratio_threshold,
        "log_prob_threshold": decoding.logprob_threshold,
        "no_speech_threshold": decoding.no_speech_threshold,
        "condition_on_previous_text": decoding.condition_on_previous_text,
        "hallucination_silence_threshold": decoding.hallucination_silence_threshold,
        "clip_timestamps": clip_timestamps(options.clips),
    }


def batched_arguments(options: Options, start_of_transcript: int, batch: int) -> dict[str, Any]:
    """Of BatchedInferencePipeline.transcribe, but for the language."""
    return _shared(options, start_of_transcript) | {"temperature": list(ONE_TEMPERATURE), "batch_size": batch}


def _shared(options: Options, start_of_transcript: int) -> dict[str, Any]:
    decoding = options.decoding
    prompt = decoding.initial_prompt
    return {
        "task": options.task.value,
        "beam_size": decoding.beam_size or DEFAULT_BEAM_SIZE,
        "patience": 1.0 if decoding.patience is None else decoding.patience,
        # The batched pipeline adds no space of its own.
        "initial_prompt": None if prompt is None else f" {prompt.strip()}",
        # For none faster-whisper suppresses not even the special tokens, as openai-whisper always does.
        "suppress_tokens": list(decoding.suppress_tokens) or [start_of_transcript],
        "without_timestamps": decoding.without_timestamps,
        "word_timestamps": decoding.word_timestamps,
    }
