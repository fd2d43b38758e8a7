"""Options of the spec reach faster-whisper, or are refused by name."""

import dataclasses
from typing import Any

import ctranslate2
import pytest
from transcription_api import reasons
from transcription_api.spec import Clip, Decoding, LongForm, Precision, Quality, QualityPolicy, TaskKind
from transcription_worker.engines.faster_whisper import engine
from transcription_worker.engines.faster_whisper.options import batched_arguments, sequential_arguments
from transcription_worker.engines.protocol import Options
from transcription_worker.errors import WorkerError

GREEDY = Decoding(temperatures=(0.0,), beam_size=1)
CHUNKED = dataclasses.replace(GREEDY, long_form=LongForm.CHUNKED)


def options(decoding: Decoding = GREEDY, **more: Any) -> Options:
    return Options(TaskKind.TRANSCRIBE, None, decoding, **more)


def test_every_option_of_the_spec_reaches_the_library() -> None:
    decoding = Decoding(
        temperatures=(0.0, 0.3),
        beam_size=3,
        best_of=2,
        patience=1.5,
        initial_prompt=" names ",
        condition_on_previous_text=False,
        compression_ratio_threshold=2.0,
        logprob_threshold=-0.5,
        no_speech_threshold=0.4,
        word_timestamps=True,
        hallucination_silence_threshold=2.0,
        suppress_tokens=(-1, 7),
        without_timestamps=True,
    )
    asked = Options(TaskKind.TRANSLATE, "pt", decoding)
    shared = {
        "task": "translate",
        "beam_size": 3,
        "patience": 1.5,
        "initial_prompt": " names",
        "suppress_tokens": [-1, 7],
        "without_timestamps": True,
        "word_timestamps": True,
    }
    assert sequential_arguments(asked, 50258) == shared | {
        "temperature": [0.0, 0.3],
        "best_of": 2,
        "compression_ratio_threshold": 2.0,
        "log_prob_threshold": -0.5,
        "no_speech_threshold": 0.4,
        "condition_on_previous_text": False,
        "hallucination_silence_threshold": 2.0,
    }
    assert batched_arguments(asked, 50258, 4) == shared | {"temperature": [0.0], "batch_size": 4}


REFUSED = {
    "decoding.carryInitialPrompt": options(dataclasses.replace(GREEDY, carry_initial_prompt=True)),
    "decoding.lengthPenalty": options(dataclasses.replace(GREEDY, length_penalty=0.5)),
    "quality.policy": options(quality=Quality(QualityPolicy.RETRY)),
    "decoding.temperatures": options(Decoding(long_form=LongForm.CHUNKED)),
    "decoding.bestOf": options(dataclasses.replace(CHUNKED, best_of=5)),
    "decoding.compressionRatioThreshold": options(dataclasses.replace(CHUNKED, compression_ratio_threshold=2.0)),
    "decoding.logprobThreshold": options(dataclasses.replace(CHUNKED, logprob_threshold=-0.5)),
    "decoding.noSpeechThreshold": options(dataclasses.replace(CHUNKED, no_speech_threshold=0.3)),
    "decoding.hallucinationSilenceThreshold": options(
        dataclasses.replace(CHUNKED, word_timestamps=True, hallucination_silence_threshold=2.0)
    ),
    "audio.clips": options(CHUNKED, clips=(Clip(0.0, 10.0),)),
}


@pytest.mark.parametrize("field", list(REFUSED))
def test_what_the_library_would_ignore_is_refused_by_name(field: str) -> None:
    with pytest.raises(
        WorkerError, match=rf"^EngineUnsuitable: spec\.{field}: got .+ with engine faster-whisper, expected"
    ) as caught:
        engine.refuse(REFUSED[field])
    assert caught.value.reason is reasons.ENGINE_UNSUITABLE


@pytest.mark.parametrize("asked", [options(), options(CHUNKED), options(Decoding())])
def test_what_the_library_honours_is_not_refused(asked: Options) -> None:
    engine.refuse(asked)


@pytest.mark.parametrize("precision", [Precision.FLOAT16, Precision.BFLOAT16])
def test_a_precision_that_this_device_has_not_is_refused_by_name(precision: Precision) -> None:
    if precision.value in ctranslate2.get_supported_compute_types("cpu"):
        pytest.skip(f"this CPU computes in {precision.value}")
    with pytest.raises(WorkerError, match=r"spec\.decoding\.precision: got '?b?float16") as caught:
        engine.compute_type(precision, "cpu")
    assert caught.value.reason is reasons.ENGINE_UNSUITABLE
