"""The spec's options as openai-whisper's, from the name that each option's metadata gives it."""

from typing import Any

import numpy as np
from transcription_api import reasons
from transcription_api.options import options_of
from transcription_api.spec import DEFAULT_BEAM_SIZE, DEFAULT_BEST_OF, Decoding

from transcription_worker.engines.clips import clip_timestamps
from transcription_worker.engines.protocol import Options
from transcription_worker.errors import WorkerError

# As the command counts them up: its 0.6 is 0.6000000000000001, which the json shows.
COMMAND_TEMPERATURES = tuple(float(step) for step in np.arange(0.0, 1.0 + 1e-6, 0.2))


def refuse_language(multilingual: bool, language: str | None) -> None:
    """Refuse another language than English for a model of English alone, which would write what looks like English.

    Raises:
        WorkerError: ModelInvalid.
    """
    if not multilingual and language not in (None, "en"):
        message = f"spec.language: got {language!r}, expected 'en' or auto: the model knows English alone"
        raise WorkerError(reasons.MODEL_INVALID, message)


def transcribe_arguments(options: Options, half: bool) -> dict[str, Any]:
    """Return the keyword arguments of whisper.transcribe, with the defaults of its command.

    Args:
        options: The options of one file.
        half: Compute in float16, which only a GPU has.
    """
    decoding = options.decoding
    named = {option.whisper: getattr(decoding, name) for name, option in options_of(Decoding).items() if option.whisper}
    return named | {
        "verbose": None,
        "task": options.task.value,
        "language": options.language,
        "clip_timestamps": clip_timestamps(options.clips),
        "fp16": half,
        # These are not passed on as they stand in the spec.
        "temperature": _temperatures(decoding),
        "beam_size": None if _greedy(decoding) else decoding.beam_size or DEFAULT_BEAM_SIZE,
        "best_of": decoding.best_of or DEFAULT_BEST_OF,
        "patience": None if _greedy(decoding) else decoding.patience,
        "suppress_tokens": list(decoding.suppress_tokens),
    }


def _greedy(decoding: Decoding) -> bool:
    """Whether the greedy decoder, which is quicker, gives the same tokens as beam search: it does with one beam."""
    return decoding.beam_size == 1 and round(decoding.patience or 1.0) == 1


def _temperatures(decoding: Decoding) -> tuple[float, ...]:
    same = [round(step, 1) for step in COMMAND_TEMPERATURES] == list(decoding.temperatures)
    return COMMAND_TEMPERATURES if same else decoding.temperatures
