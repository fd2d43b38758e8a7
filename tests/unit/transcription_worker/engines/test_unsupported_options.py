"""The metadata of the options decides what each engine refuses."""

import dataclasses
import itertools
from typing import Any

import pytest
from transcription_api import reasons
from transcription_api.options import option_of, options_of
from transcription_api.spec import (
    Clip,
    Decoding,
    EngineKind,
    LanguageDetection,
    LongForm,
    Precision,
    Quality,
    QualityPolicy,
    TaskKind,
)
from transcription_worker.engines.protocol import Options
from transcription_worker.engines.unsupported_options import Accepted, refuse_unsupported
from transcription_worker.errors import WorkerError

# Values that differ from the default, for each type of an option of decoding.
OTHER: dict[str, Any] = {
    "temperatures": (0.5,),
    "suppress_tokens": (),
    "initial_prompt": "names",
    "precision": Precision.FLOAT32,
}


def options(decoding: Decoding, language: str | None = "en", **more: Any) -> Options:
    return Options(TaskKind.TRANSCRIBE, language, decoding, **more)


def changed(name: str, long_form: LongForm) -> Decoding:
    default = getattr(Decoding(), name)
    other: Any = not default if isinstance(default, bool) else (OTHER[name] if name in OTHER else (default or 0) + 0.25)
    return dataclasses.replace(Decoding(long_form=long_form), **{name: other})


# longForm itself is the third parameter, and openai-whisper reads long files in one way only.
TRIED = [
    (name, engine, long_form)
    for name, engine, long_form in itertools.product(options_of(Decoding), EngineKind, LongForm)
    if name != "long_form" and (engine, long_form) != (EngineKind.OPENAI_WHISPER, LongForm.CHUNKED)
]


@pytest.mark.parametrize(("name", "engine", "long_form"), TRIED)
def test_an_option_is_refused_where_another_engine_honours_it_and_this_one_does_not(
    name: str, engine: EngineKind, long_form: LongForm
) -> None:
    option = options_of(Decoding)[name]
    asked = options(changed(name, long_form))
    refused = option.is_honoured(EngineKind.BATCHED, long_form) and not option.is_honoured(engine, long_form)
    if not refused:
        refuse_unsupported(asked, engine)
        return
    with pytest.raises(WorkerError, match=rf"got .+ with engine {engine.value}, expected .+, or engine batched"):
        refuse_unsupported(asked, engine)


def test_the_batched_engine_honours_every_option_of_sequential_reading() -> None:
    assert all(option.is_honoured(EngineKind.BATCHED, LongForm.SEQUENTIAL) for option in options_of(Decoding).values())


@pytest.mark.parametrize(
    ("engine", "asked", "message"),
    [
        (
            EngineKind.OPENAI_WHISPER,
            options(Decoding(precision=Precision.BFLOAT16)),
            "spec.decoding.precision: got bfloat16 with engine openai-whisper, expected auto, float32 or float16",
        ),
        (
            EngineKind.OPENAI_WHISPER,
            options(Decoding(long_form=LongForm.CHUNKED)),
            "spec.decoding.longForm: got chunked with engine openai-whisper, expected sequential, or engine batched",
        ),
        (
            EngineKind.OPENAI_WHISPER,
            options(Decoding(), None, detection=LanguageDetection(windows=5)),
            "spec.languageDetection.windows: got 5 with engine openai-whisper, expected none, or engine batched",
        ),
        (
            EngineKind.FASTER_WHISPER,
            options(Decoding(), quality=Quality(QualityPolicy.RETRY)),
            "spec.quality.policy: got retry with engine faster-whisper, expected warn or fail, or engine batched",
        ),
        (
            EngineKind.FASTER_WHISPER,
            options(Decoding(carry_initial_prompt=True)),
            "spec.decoding.carryInitialPrompt: got true with engine faster-whisper, expected false, or engine batched",
        ),
        (
            EngineKind.FASTER_WHISPER,
            options(Decoding(long_form=LongForm.CHUNKED), clips=(Clip(0.0, 1.0), Clip(2.0))),
            "spec.audio.clips: got 2 of them with engine faster-whisper, expected none with longForm chunked, or engine",
        ),
    ],
)
def test_a_refusal_names_the_field_its_value_and_what_the_engine_has(
    engine: EngineKind, asked: Options, message: str
) -> None:
    with pytest.raises(WorkerError) as caught:
        refuse_unsupported(asked, engine)
    assert caught.value.reason is reasons.ENGINE_UNSUITABLE
    assert caught.value.message.startswith(message)


def test_an_engine_may_accept_other_values_than_the_default() -> None:
    asked = options(Decoding(length_penalty=1.0))
    refuse_unsupported(asked, EngineKind.FASTER_WHISPER, {"decoding.lengthPenalty": Accepted((None, 1.0), "none or 1")})
    with pytest.raises(WorkerError, match=r"got 1\.0 with engine faster-whisper, expected 0\.5, or engine batched"):
        refuse_unsupported(asked, EngineKind.FASTER_WHISPER, {"decoding.lengthPenalty": Accepted((0.5,), "0.5")})


def test_windows_of_language_detection_matter_where_the_language_is_not_given() -> None:
    refuse_unsupported(options(Decoding(), "pt", detection=LanguageDetection(windows=5)), EngineKind.OPENAI_WHISPER)


def test_every_missing_value_is_one_of_the_options_own() -> None:
    for part in (Decoding, Quality, LanguageDetection):
        for field in dataclasses.fields(part):
            for missing in option_of(field).missing_values.values():
                assert all(isinstance(value, type(field.default)) for value in missing), field.name
