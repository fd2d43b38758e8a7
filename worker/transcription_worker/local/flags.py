"""Flags of the local command that stand for a field of the spec: all of a flag is taken from the field's metadata."""

import dataclasses
import enum
import re
import typing
from argparse import Namespace
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, TypeVar

from transcription_api.codec import camel, without_none
from transcription_api.languages import CODES
from transcription_api.options import Option, options_of
from transcription_api.spec import (
    DEFAULT_BEAM_SIZE,
    DEFAULT_BEST_OF,
    AudioSelection,
    Clip,
    Decoding,
    LanguageDetection,
    Quality,
    Subtitles,
)

from transcription_worker.local import values

T = TypeVar("T")
Read = Callable[[str], Any]


@dataclass(frozen=True)
class Flag:
    """One option of the command.

    Attributes:
        name: The long spelling without its dashes.
        help: What it means, in sentences.
        type: Reads the text that was given. It raises argparse.ArgumentTypeError.
        default: The value where the option is not given; None where nothing is to be shown as one.
        choices: All texts that may be given, where those are few.
        short: The short spelling with its dash.
        switch: The option takes no value: --name alone means True.
    """

    name: str
    help: str
    type: Read = str
    default: Any = None
    choices: tuple[str, ...] = ()
    short: str | None = None
    switch: bool = False

    @property
    def dest(self) -> str:
        """The name of its value in the parsed arguments."""
        return self.name.replace("-", "_")


# Parts of the spec whose fields are flags, by the name of the spec's field.
PARTS: dict[str, Any] = {
    "language_detection": LanguageDetection,
    "audio": AudioSelection,
    "decoding": Decoding,
    "quality": Quality,
    "subtitles": Subtitles,
}
# A flag has the name of openai-whisper's option, or else the field's after one of these.
PREFIXES = {"language_detection": "language-"}
# Fields that are no flag by themselves.
LEFT_OUT = (
    (Decoding, "temperatures"),  # two flags of whisper's command count them up
    (Decoding, "without_timestamps"),  # whisper's command has no such option
)
# What is true of all flags of a part, and told in the help of the spec's field alone.
PART_NOTES = {"subtitles": "Only with --word-timestamps."}
# What a flag has otherwise than its field, because whisper's command has it so. `note` is added to the help.
CHANGES: dict[tuple[Any, str], dict[str, Any]] = {
    (Decoding, "beam_size"): {"default": DEFAULT_BEAM_SIZE, "note": "None and 1 are greedy."},
    (Decoding, "best_of"): {"default": DEFAULT_BEST_OF},
    (Decoding, "compression_ratio_threshold"): {"none": True, "note": "With None it is not looked at."},
    (Decoding, "no_speech_threshold"): {"none": True, "note": "With None it is not looked at."},
    (Decoding, "suppress_tokens"): {"note": "Several are written as in --suppress-tokens=-1,50256."},
    (Decoding, "precision"): {"default": None, "note": "Without it auto, or what --fp16 says."},
    (LanguageDetection, "candidates"): {"note": "Several are separated by commas."},
    (AudioSelection, "clips"): {
        "default": "0",
        "note": "Written as start,end,start,end,... in seconds; the last end may be left out.",
    },
    (Quality, "policy"): {"name": "quality"},
}


def _flag(part: str, name: str, hint: Any, option: Option) -> Flag:
    cls = PARTS[part]
    changes = CHANGES.get((cls, name), {})
    default = getattr(cls(), name)
    bare = without_none(hint)
    choices = tuple(member.value for member in bare) if _is_enum(bare) else ()
    return Flag(
        name=_name(part, name, option),
        help=in_flags(" ".join(filter(None, (option.help, changes.get("note"), PART_NOTES.get(part))))),
        type=str if choices else _read(bare, option, changes.get("none", bare is not hint)),
        default=changes.get("default", _shown(default)),
        choices=choices,
    )


def _name(part: str, name: str, option: Option) -> str:
    changed = CHANGES.get((PARTS[part], name), {}).get("name")
    return str(changed or option.whisper or PREFIXES.get(part, "") + name).replace("_", "-")


def _read(hint: Any, option: Option, none: bool) -> Read:
    """Return a reader of the field's type within the field's bounds. With `none` the text None is read as no value."""
    if hint is int:
        return values.whole(int(_bound(option.minimum)), int(_bound(option.maximum)), none=none)
    if hint is float:
        return values.number(_bound(option.minimum), _bound(option.maximum), none=none)
    if hint is str:
        return values.language_code if option.choices == CODES else str
    return READERS[hint]


READERS: dict[Any, Read] = {
    bool: values.truth,
    tuple[int, ...]: values.tokens,
    tuple[str, ...]: values.languages,
    tuple[Clip, ...]: values.clips,
}


def _bound(bound: float | None) -> float:
    if bound is None:
        raise ValueError("got a number without bounds, expected a minimum and a maximum in its option")
    return bound


def _is_enum(hint: Any) -> bool:
    return isinstance(hint, type) and issubclass(hint, enum.Enum)


def _shown(default: Any) -> Any:
    """Return the default as it would be typed; None for an empty list, which is no value at all."""
    if isinstance(default, enum.Enum):
        return default.value
    if isinstance(default, tuple):
        return ",".join(str(item) for item in default) or None
    return default


def _fields(part: str) -> list[tuple[str, Any, Option]]:
    """Return the name, the type and the option of each field that is a flag."""
    hints, options = typing.get_type_hints(PARTS[part]), options_of(PARTS[part])
    return [(name, hints[name], option) for name, option in options.items() if (PARTS[part], name) not in LEFT_OUT]


# Paths of fields in a manifest, without spec in front, and the flags that stand for them.
SPELLINGS = {
    f"{camel(part)}.{camel(name)}": f"--{_name(part, name, option)}"
    for part in PARTS
    for name, _, option in _fields(part)
}
# Names of fields that are no words of a sentence, such as wordTimestamps.
CAMEL_CASE = {path.split(".")[1]: flag for path, flag in SPELLINGS.items() if not path.split(".")[1].islower()}


def in_flags(text: str) -> str:
    """Return a field's help with the names of flags in place of the names of fields."""
    known = SPELLINGS | CAMEL_CASE
    return re.sub(r"\b[a-zA-Z]+(?:\.[a-zA-Z]+)?\b", lambda word: known.get(word[0], word[0]), text)


# The flags of each part, by the name of the field.
FLAGS: Mapping[Any, Mapping[str, Flag]] = {
    PARTS[part]: {name: _flag(part, name, hint, option) for name, hint, option in _fields(part)} for part in PARTS
}


def given_part(cls: type[T], given: Namespace) -> T:
    """Return a part of the spec from the flags that stand for its fields, with a field's default where its flag has no value."""
    hints = typing.get_type_hints(cls)
    read = {name: getattr(given, flag.dest) for name, flag in FLAGS[cls].items()}
    return cls(**{name: _converted(hints[name], value) for name, value in read.items() if value is not None})


def _converted(hint: Any, value: Any) -> Any:
    bare = without_none(hint)
    return bare(value) if _is_enum(bare) else value


def field_flag(cls: Any, name: str) -> Flag:
    """Return the flag that stands for a field of the spec itself whose type is an enum, such as task."""
    default: Any = next(field.default for field in dataclasses.fields(cls) if field.name == name)
    choices = tuple(member.value for member in type(default))
    return Flag(name, options_of(cls)[name].help, default=default.value, choices=choices)
