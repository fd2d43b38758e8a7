"""The spec's options as faster-whisper's, and the refusal by name of those that it has no place for.

Which it has is said by each option's metadata, which were read in faster-whisper 1.2.1 (transcribe.py). Its WhisperModel
follows openai-whisper's algorithm. Its BatchedInferencePipeline, for longForm chunked, decodes each chunk once: it takes the
first temperature alone and looks at no threshold.
"""

from typing import Any

from transcription_api.options import options_of
from transcription_api.spec import DEFAULT_BEAM_SIZE, DEFAULT_BEST_OF, Decoding, EngineKind, LongForm

from transcription_worker.engines.prompt import replace_surrogates
from transcription_worker.engines.protocol import Options
from transcription_worker.engines.unsupported_options import Accepted, refuse_unsupported
from transcription_worker.engines.whisper_arguments import silence_threshold

# No temperature above 0 is tried, and none is sampled at: the pipeline takes the likeliest token at any temperature.
ONE_TEMPERATURE = (0.0,)
ACCEPTED = {
    "decoding.temperatures": Accepted(
        (ONE_TEMPERATURE,), "[0] with longForm chunked, where faster-whisper decodes once"
    ),
    # CTranslate2 divides by length^penalty, openai-whisper by ((5 + length) / 6)^penalty.
    "decoding.lengthPenalty": Accepted((None,), "none, since CTranslate2 weighs length by another formula"),
    "audio.clips": Accepted(((),), "none with longForm chunked, where faster-whisper cuts clips off at 30 s"),
}
# Names that differ from openai-whisper's.
NAMES = {"logprob_threshold": "log_prob_threshold"}


def refuse_options(options: Options) -> None:
    """Refuse what faster-whisper does not have.

    Raises:
        WorkerError: EngineUnsuitable, with the first field that faster-whisper cannot honour.
    """
    refuse_unsupported(options, EngineKind.FASTER_WHISPER, ACCEPTED)


def sequential_arguments(options: Options, start_of_transcript: int) -> dict[str, Any]:
    """Return the keyword arguments of WhisperModel.transcribe, but for the language and the clips."""
    decoding = options.decoding
    return _shared(options, LongForm.SEQUENTIAL, start_of_transcript) | {
        "temperature": list(decoding.temperatures),
        "best_of": decoding.best_of or DEFAULT_BEST_OF,
        "hallucination_silence_threshold": silence_threshold(decoding),
    }


def batched_arguments(options: Options, start_of_transcript: int, batch: int) -> dict[str, Any]:
    """Return the keyword arguments of BatchedInferencePipeline.transcribe, but for the language. `batch` is in chunks."""
    return _shared(options, LongForm.CHUNKED, start_of_transcript) | {
        "temperature": list(ONE_TEMPERATURE),
        "batch_size": batch,
    }


def _shared(options: Options, long_form: LongForm, start_of_transcript: int) -> dict[str, Any]:
    """All options that faster-whisper honours; those that it reads in another way are given in its own way."""
    decoding = options.decoding
    prompt = decoding.initial_prompt
    honoured = {
        NAMES.get(option.whisper, option.whisper): getattr(decoding, name)
        for name, option in options_of(Decoding).items()
        if option.whisper is not None and option.is_honoured(EngineKind.FASTER_WHISPER, long_form)
    }
    return honoured | {
        "task": options.task.value,
        "beam_size": decoding.beam_size or DEFAULT_BEAM_SIZE,
        "patience": 1.0 if decoding.patience is None else decoding.patience,
        # The batched pipeline adds no space of its own.
        "initial_prompt": None if prompt is None else f" {replace_surrogates(prompt).strip()}",
        # For none faster-whisper suppresses not even the special tokens, as openai-whisper always does.
        "suppress_tokens": list(decoding.suppress_tokens) or [start_of_transcript],
    }
