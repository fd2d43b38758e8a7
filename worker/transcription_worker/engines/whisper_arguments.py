"""Our options as openai-whisper's: what every engine starts from."""

from typing import Any

import numpy as np
from transcription_api import reasons
from transcription_api.spec import DEFAULT_BEAM_SIZE, DEFAULT_BEST_OF, Decoding

from transcription_worker.engines.clips import clip_timestamps
from transcription_worker.engines.protocol import Options
from transcription_worker.errors import WorkerError

# As the command counts them up: its 0.6 is 0.6000000000000001, which the json shows.
COMMAND_TEMPERATURES = tuple(float(step) for step in np.arange(0.0, 1.0 + 1e-6, 0.2))


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


def _temperatures(decoding: Decoding) -> tuple[float, ...]:
    same = [round(step, 1) for step in COMMAND_TEMPERATURES] == list(decoding.temperatures)
    return COMMAND_TEMPERATURES if same else decoding.temperatures
