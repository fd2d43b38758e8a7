"""What each field of the spec says about itself, in its dataclass's own metadata.

The schema of the CRD, the command line of `transcription-worker local`, the arguments of openai-whisper and
faster-whisper and the refusal of what an engine does not have are all derived from these metadata. A field is declared
once, in its dataclass:

    beam_size: int | None = option(None, minimum=1, maximum=50, whisper="beam_size", help="Number of beams ...")
"""

import dataclasses
import enum
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, Concatenate, ParamSpec, TypeVar

from transcription_api.choices import EngineKind, LongForm

P = ParamSpec("P")
T = TypeVar("T")

# The key of a field's Option in dataclasses.Field.metadata.
METADATA_KEY = "option"
ALL_ENGINES = tuple(EngineKind)


@dataclass(frozen=True, kw_only=True)
class Bounds:
    """The limits of one value. `choices` are those of a text; a field whose type is an enum has the enum's members."""

    minimum: float | None = None
    maximum: float | None = None
    min_length: int | None = None  # characters
    max_length: int | None = None  # characters
    pattern: str | None = None  # a regular expression
    choices: tuple[str, ...] = ()


@dataclass(frozen=True, kw_only=True)
class Option(Bounds):
    """A field's help, limits, and what the engines make of it.

    The type, the default and the choices of an enum are the dataclass field's own.

    Attributes:
        help: What the field means, in sentences. It is the description in the CRD and the help of the command.
        min_items, max_items: The limits of a list's length.
        unique_items: No value may be in the list twice.
        items: The limits of each item of a list, or of each value of a map.
        max_properties: The limit of a map's length.
        int64: A whole number that Kubernetes' own types declare with 64 bits; others have 32.
        mutable: The field may change after the resource was created.
        implicit: The apiserver does not write the default into resources. A field that came after the first release is so:
            the operator of a release before may refuse one that it does not know, in every resource.
        part_help: Help of the parts of this field that mean something else here than where else their dataclass is
            used, by the part's name.
        whisper: The option's name in openai-whisper's command and in whisper.transcribe, if it has one.
        engines: The engines that honour the option. The others accept the default alone.
        chunked: The engines that honour it with longForm chunked too; those of `engines` unless it is given.
        missing_values: Values of an enum that an engine does not have, by engine.
    """

    help: str
    min_items: int | None = None
    max_items: int | None = None
    unique_items: bool = False
    items: Bounds | None = None
    max_properties: int | None = None
    int64: bool = False
    mutable: bool = False
    implicit: bool = False
    part_help: Mapping[str, str] = field(default_factory=dict)
    whisper: str | None = None
    engines: tuple[EngineKind, ...] = ALL_ENGINES
    chunked: tuple[EngineKind, ...] | None = None
    missing_values: Mapping[EngineKind, tuple[enum.Enum, ...]] = field(default_factory=dict)

    def is_honoured(self, engine: EngineKind, long_form: LongForm) -> bool:
        """Whether an engine does what the option says when it reads long files in this way."""
        if long_form is LongForm.CHUNKED and self.chunked is not None:
            return engine in self.chunked
        return engine in self.engines


def _metadata(make: Callable[P, Option]) -> Callable[P, dict[str, Option]]:
    def metadata(*args: P.args, **attributes: P.kwargs) -> dict[str, Option]:
        return {METADATA_KEY: make(*args, **attributes)}

    return metadata


def _field(make: Callable[P, Option]) -> Callable[Concatenate[T, P], T]:
    def declare(default: T, /, *args: P.args, **attributes: P.kwargs) -> T:
        metadata = {METADATA_KEY: make(*args, **attributes)}
        declared: Any = (
            field(default_factory=dict, metadata=metadata)
            if isinstance(default, dict)
            else field(default=default, metadata=metadata)
        )
        return declared  # type: ignore[no-any-return]  # dataclasses.field is typed in the same way

    return declare


# Both take the attributes of an Option, which a type checker checks.
# The metadata of a field without a default, for dataclasses.field(metadata=...).
required = _metadata(Option)
# A field with a default. It is typed as its default, because a type checker reads what is assigned to a field as that.
option = _field(Option)


def option_of(declared: "dataclasses.Field[Any]") -> Option:
    """Return the Option of a dataclass field.

    Raises:
        KeyError: The field was declared without one.
    """
    found: Option = declared.metadata[METADATA_KEY]
    return found


def options_of(cls: Any) -> dict[str, Option]:
    """Return the Option of each field of a dataclass, by the field's name."""
    return {declared.name: option_of(declared) for declared in dataclasses.fields(cls)}
