"""The spec's options as openai-whisper's, from the name that each option's metadata gives it."""

from typing import Any

import numpy as np
from transcription_api.options import options_of
from transcription_api.spec import DEFAULT_BEAM_SIZE, DEFAULT_BEST_OF, Decoding

from transcription_worker.engines.protocol import Options

# As the command counts them up: its 0.6 is 0.6000000000000001, which the json shows.
COMMAND_TEMPERATURES = tuple(float(step) for step in np.arange(0.0, 1.0 + 1e-6, 0.2))
HALF_FRAME = 0.005  # s


def transcribe_arguments(options: Options, half: bool) -> dict[str, Any]:
    """Return the keyword arguments of whisper.transcribe but for the clips, with the defaults of its command.

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
        "fp16": half,
        # These are not passed on as they stand in the spec.
        "temperature": _temperatures(decoding),
        "beam_size": None if _greedy(decoding) else decoding.beam_size or DEFAULT_BEAM_SIZE,
        "best_of": decoding.best_of or DEFAULT_BEST_OF,
        "patience": None if _greedy(decoding) else decoding.patience,
        "suppress_tokens": list(decoding.suppress_tokens),
        "hallucination_silence_threshold": silence_threshold(decoding),
    }


def silence_threshold(decoding: Decoding) -> float | None:
    """hallucination_silence_threshold in seconds, and at least half a frame.

    Words' times are rounded to frames. Without a frame's difference the same window would come again and again.
    """
    threshold = decoding.hallucination_silence_threshold
    return None if threshold is None else max(threshold, HALF_FRAME)


def _greedy(decoding: Decoding) -> bool:
    """Whether the greedy decoder, which is quicker, gives the same tokens as beam search: it does with one beam."""
    return decoding.beam_size == 1 and round(decoding.patience or 1.0) == 1


def _temperatures(decoding: Decoding) -> tuple[float, ...]:
    same = [round(step, 1) for step in COMMAND_TEMPERATURES] == list(decoding.temperatures)
    return COMMAND_TEMPERATURES if same else decoding.temperatures
