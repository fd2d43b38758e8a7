"""What the model's vocabulary cannot say is refused by the field's name before any audio is opened."""

from dataclasses import dataclass
from typing import Any

from transcription_api import reasons
from transcription_api.spec import Decoding, TaskKind
from whisper.tokenizer import LANGUAGES

from transcription_worker.engines.protocol import Options
from transcription_worker.errors import WorkerError

# whisper.tokenizer: from 0 to 30 s in steps of 0.02 s, the last tokens of the vocabulary.
TIMESTAMPS = 1501
# Those up to whisper.decoding.DecodingOptions.max_initial_timestamp, which is 1 s.
FIRST_TIMESTAMPS = 51


@dataclass(frozen=True)
class Vocabulary:
    """Codes of the languages that a model knows, and the number of its tokens."""

    languages: tuple[str, ...]
    size: int

    @staticmethod
    def of(model: Any) -> "Vocabulary":
        """The vocabulary of a whisper.model.Whisper."""
        languages = tuple(LANGUAGES)[: model.num_languages] if model.is_multilingual else ("en",)
        return Vocabulary(languages, int(model.dims.n_vocab))

    def refuse(self, options: Options) -> None:
        """Refuse options that need a language or a token which the model has not.

        Raises:
            WorkerError: ModelInvalid, with the field.
        """
        self._refuse_language("spec.language", options.language)
        if options.language is None:
            self._refuse_language("spec.languageDetection.default", options.detection.default)
        if options.task is TaskKind.TRANSLATE and self.languages == ("en",):
            raise _refusal("spec.task", "translate", "transcribe: the model knows English alone")
        self._refuse_tokens(options.decoding)

    def _refuse_tokens(self, decoding: Decoding) -> None:
        field = "spec.decoding.suppressTokens"
        if beyond := [token for token in decoding.suppress_tokens if token >= self.size]:
            raise _refusal(field, beyond[0], f"tokens of the model: those below {self.size}")
        first = range(self.size - TIMESTAMPS, self.size - TIMESTAMPS + FIRST_TIMESTAMPS)
        if not decoding.without_timestamps and {*first} <= {*decoding.suppress_tokens}:
            expected = "one of them left, with which a text begins, or withoutTimestamps"
            raise _refusal(field, f"all timestamps from {first[0]} to {first[-1]}", expected)

    def _refuse_language(self, field: str, language: str | None) -> None:
        """A model of English alone would write in another language what looks like English."""
        if language is None or language in self.languages:
            return
        if self.languages == ("en",):
            raise _refusal(field, repr(language), "'en' or auto: the model knows English alone")
        raise _refusal(field, repr(language), f"one of the {len(self.languages)} languages that the model knows")


def _refusal(field: str, got: object, expected: str) -> WorkerError:
    return WorkerError(reasons.MODEL_INVALID, f"{field}: got {got}, expected {expected}")
