"""Which options an engine does not have: they are refused by the field's name, never dropped without a word.

What each engine honours stands beside the option itself, in the metadata of its dataclass (transcription_api.options).
"""

import dataclasses
import enum
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from transcription_api import reasons
from transcription_api.codec import camel
from transcription_api.options import Option, option_of
from transcription_api.spec import AudioSelection, EngineKind, LongForm

from transcription_worker.engines.protocol import Options
from transcription_worker.errors import WorkerError


@dataclass(frozen=True)
class Accepted:
    """Values that an engine accepts of an option which it does not honour, and how a message names them."""

    values: tuple[Any, ...]
    words: str


@dataclass(frozen=True)
class Refusal:
    """The path of a field below spec, its value, and what was expected in its place."""

    field: str
    value: Any
    expected: str


def refuse_unsupported(options: Options, engine: EngineKind, accepted: Mapping[str, Accepted] | None = None) -> None:
    """Refuse what the engine does not have.

    Args:
        options: The options of one file.
        engine: The engine that was asked for.
        accepted: What is accepted by the field's path. Of other options that are not honoured it is the default alone,
            because what was left at its default was not asked for.

    Raises:
        WorkerError: EngineUnsuitable, with the first field that the engine does not have.
    """
    for refusal in (*_missing_values(options, engine), *_not_honoured(options, engine, accepted or {})):
        got = f"spec.{refusal.field}: got {_shown(refusal.value)} with engine {engine.value}"
        message = f"{got}, expected {refusal.expected}, or engine batched"
        raise WorkerError(reasons.ENGINE_UNSUITABLE, message)


def _missing_values(options: Options, engine: EngineKind) -> Iterator[Refusal]:
    for path, field, value in _fields(options):
        missing = option_of(field).missing_values.get(engine, ())
        if value in missing:
            names = [member.value for member in type(value) if member not in missing]
            yield Refusal(path, value, " or ".join(filter(None, (", ".join(names[:-1]), names[-1]))))


def _not_honoured(options: Options, engine: EngineKind, accepted: Mapping[str, Accepted]) -> Iterator[Refusal]:
    """An option that the batched engine does not honour either has no effect here, and is not refused."""
    long_form = options.decoding.long_form
    for path, field, value in _fields(options):
        option = option_of(field)
        if option.is_honoured(engine, long_form) or not option.is_honoured(EngineKind.BATCHED, long_form):
            continue
        known = accepted.get(path) or _default_alone(field, option, engine, long_form)
        if value not in known.values:
            yield Refusal(path, value, known.words)


def _default_alone(
    field: "dataclasses.Field[Any]", option: Option, engine: EngineKind, long_form: LongForm
) -> Accepted:
    words = _shown(field.default) if isinstance(field.default, bool) else "none"
    return Accepted((field.default,), f"{words} with longForm {long_form.value}" if engine in option.engines else words)


def _fields(options: Options) -> "Iterator[tuple[str, dataclasses.Field[Any], Any]]":
    """The path, the field and the value of each option. Those of language detection have no effect on a given language."""
    parts: dict[str, Any] = {
        "decoding": options.decoding,
        "quality": options.quality,
        "audio": AudioSelection(clips=options.clips),
    }
    if options.language is None:
        parts["languageDetection"] = options.detection
    for name, part in parts.items():
        for field in dataclasses.fields(part):
            yield f"{name}.{camel(field.name)}", field, getattr(part, field.name)


def _shown(value: Any) -> str:
    if isinstance(value, enum.Enum):
        return str(value.value)
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, tuple):
        return f"{len(value)} of them" if value and dataclasses.is_dataclass(value[0]) else str(list(value))
    return str(value)
