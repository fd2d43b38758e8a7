"""Every field of a spec is in the fingerprint or in the list of those that do not decide the result."""

import dataclasses
import enum
import typing
from collections.abc import Iterator
from typing import Any

import pytest
from transcription_api.codec import to_json, without_none
from transcription_api.layout import FIELDS_OUTSIDE_FINGERPRINT, fingerprint
from transcription_api.spec import Spec, parse_spec

SAMPLES: dict[Any, tuple[Any, Any]] = {str: ("a", "b"), int: (1, 2), float: (0.5, 1.5), bool: (False, True)}
SAMPLES[Any] = ({"a": "b"}, {"c": "d"})


def sample(hint: Any, number: int = 0) -> Any:
    """Return one of two values of a type. In a dataclass every field has a value, even if it may be absent."""
    hint, origin = without_none(hint), typing.get_origin(without_none(hint))
    if dataclasses.is_dataclass(hint):
        made: Any = hint
        return made(**{name: sample(inner) for name, inner in typing.get_type_hints(hint).items()})
    if origin is tuple:
        return (sample(typing.get_args(hint)[0], number),)
    if origin is dict:
        return {"a": sample(typing.get_args(hint)[1], number)}
    if issubclass(hint, enum.Enum) if isinstance(hint, type) else False:
        return list(hint)[number]
    return SAMPLES[hint][number]


def changes(part: Any, path: str = "") -> Iterator[tuple[str, Any]]:
    """Yield the path of each field of a dataclass, at every depth, and the dataclass with only that field changed."""
    for name, hint in typing.get_type_hints(type(part)).items():
        value, inner = getattr(part, name), without_none(hint)
        listed = isinstance(value, tuple) and dataclasses.is_dataclass(value[0])
        if listed or dataclasses.is_dataclass(inner):
            for where, changed in changes(value[0] if listed else value, f"{path}{name}."):
                yield where, dataclasses.replace(part, **{name: (changed,) if listed else changed})
        else:
            yield f"{path}{name}", dataclasses.replace(part, **{name: sample(inner, 1)})


FULL: Spec = sample(Spec)
CHANGES = dict(changes(FULL))


def is_within(path: str, listed: str) -> bool:
    return f"{path}.".startswith(f"{listed}.")


def is_outside(path: str) -> bool:
    return any(is_within(path, listed) for listed in FIELDS_OUTSIDE_FINGERPRINT)


@pytest.mark.parametrize("path", CHANGES)
def test_each_field_changes_the_fingerprint_unless_it_is_listed_as_outside(path: str) -> None:
    assert to_json(CHANGES[path]) != to_json(FULL)
    assert (fingerprint(CHANGES[path]) != fingerprint(FULL)) is not is_outside(path)


def test_the_fields_of_every_part_are_tried() -> None:
    deep = {"source.s3.credentials_secret_ref.name", "model.volume.image.reference", "audio.clips.end"}
    assert {*deep, "decoding.beam_size", "language_detection.below", "subtitles.max_line_width"} <= set(CHANGES)


@pytest.mark.parametrize("listed", FIELDS_OUTSIDE_FINGERPRINT)
def test_every_listed_path_is_a_field_of_the_spec(listed: str) -> None:
    assert any(is_within(path, listed) for path in CHANGES)


@pytest.mark.parametrize(
    ("more", "digest"),
    [
        ({}, "84aef48f836683df74f992d12944273fe10a68ef72aa10c513144bc5b0ce7089"),
        (
            {
                "model": {"s3": {"bucket": "models", "key": "a.pt", "region": "eu"}, "sha256": "0" * 64},
                "formats": ["vtt", "json"],
                "decoding": {"beamSize": 2},
                "audio": {"clips": [{"start": 1}]},
                "language": "pt",
            },
            "52d4141e85e255edc879770e750254f288d41886b257639b6e9608f60c362558",
        ),
    ],
)
def test_results_that_were_written_before_an_upgrade_are_still_found(more: dict[str, Any], digest: str) -> None:
    """A digest that differs here makes every finished transcription run again: say so in the changelog."""
    source = {"s3": {"bucket": "audio", "key": "interviews/01.wav"}}
    destination = {"s3": {"bucket": "transcripts", "prefix": "out/"}}
    assert fingerprint(parse_spec({"source": source, "destination": destination, **more})) == digest
