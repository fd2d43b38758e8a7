"""What a model's vocabulary lacks is refused by the field's name."""

import dataclasses

import pytest
from transcription_api import reasons
from transcription_api.spec import Decoding, LanguageDetection, TaskKind
from transcription_worker.engines.protocol import Options
from transcription_worker.engines.vocabulary import Vocabulary
from transcription_worker.errors import WorkerError
from whisper.model import ModelDimensions, Whisper

OPTIONS = Options(TaskKind.TRANSCRIBE, None, Decoding())
ENGLISH = Vocabulary(("en",), 51864)


def vocabulary(size: int) -> Vocabulary:
    return Vocabulary.of(Whisper(ModelDimensions(80, 4, 8, 1, 1, size, 8, 8, 1, 1)))


def test_models_know_english_alone_or_99_or_100_languages() -> None:
    assert vocabulary(51864) == ENGLISH
    assert len(vocabulary(51865).languages) == 99
    assert "yue" not in vocabulary(51865).languages
    assert len(vocabulary(51866).languages) == 100
    assert "yue" in vocabulary(51866).languages
    assert len(vocabulary(51870).languages) == 100


@pytest.mark.parametrize(
    "options",
    [
        OPTIONS,
        dataclasses.replace(OPTIONS, language="en"),
        dataclasses.replace(OPTIONS, decoding=Decoding(suppress_tokens=(-1, 51863))),
        dataclasses.replace(OPTIONS, decoding=Decoding(suppress_tokens=())),
        dataclasses.replace(OPTIONS, decoding=Decoding(suppress_tokens=tuple(range(50364, 50414)))),
        dataclasses.replace(
            OPTIONS, decoding=Decoding(suppress_tokens=tuple(range(50363, 50414)), without_timestamps=True)
        ),
    ],
)
def test_what_the_model_has_is_not_refused(options: Options) -> None:
    ENGLISH.refuse(options)


REFUSED = {
    "spec.language: got 'pt', expected 'en' or auto: the model knows English alone": dataclasses.replace(
        OPTIONS, language="pt"
    ),
    "spec.task: got translate, expected transcribe: the model knows English alone": dataclasses.replace(
        OPTIONS, task=TaskKind.TRANSLATE
    ),
    "spec.languageDetection.default: got 'pt', expected 'en' or auto": dataclasses.replace(
        OPTIONS, detection=LanguageDetection(default="pt")
    ),
    "spec.decoding.suppressTokens: got 51864, expected tokens of the model: those below 51864": dataclasses.replace(
        OPTIONS, decoding=Decoding(suppress_tokens=(-1, 51864, 51865))
    ),
    "spec.decoding.suppressTokens: got all timestamps from 50363 to 50413, expected one of them left": dataclasses.replace(
        OPTIONS, decoding=Decoding(suppress_tokens=(-1, *range(50363, 50414)))
    ),
}


@pytest.mark.parametrize(("message", "options"), REFUSED.items())
def test_what_the_model_lacks_is_refused_by_name(message: str, options: Options) -> None:
    with pytest.raises(WorkerError) as caught:
        ENGLISH.refuse(options)
    assert caught.value.reason is reasons.MODEL_INVALID
    assert caught.value.message.startswith(message)
