"""The files of a run as its plan names them, one line of JSON each."""

import dataclasses
import json
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from typing import Any, TypeVar

from transcription_api.codec import from_json, to_json
from transcription_api.s3 import S3BesideSources, folder_of, single
from transcription_api.spec import Channel, Clip, Format, Layout, S3Object, Source, Spec, TaskKind

T = TypeVar("T")


@dataclass(frozen=True)
class Overrides:
    """Fields of the spec that a line of a manifest sets for one file. None leaves the spec's."""

    language: str | None = None
    task: TaskKind | None = None
    initial_prompt: str | None = None
    clips: tuple[Clip, ...] | None = None
    channel: Channel | None = None
    formats: tuple[Format, ...] | None = None


@dataclass(frozen=True)
class Entry:
    """One file of the plan.

    `number` counts the files of the account from 0. `seconds` of audio are those that the header tells, else estimated from
    the size. `found` says that something lies at the key of its report already.
    """

    number: int
    key: str
    etag: str
    size: int
    seconds: float
    bucket: str | None = None  # another one than the source's
    reference: str | None = None
    overrides: Overrides = field(default_factory=Overrides)
    found: bool = False


def entry_spec(spec: Spec, entry: Entry) -> Spec:
    """Return the spec that would transcribe the file alone, to the same results.

    So a file has the same fingerprint, keys and report whether it comes alone or with others.
    """
    source = spec.source.s3
    location = S3Object(
        bucket=entry.bucket or source.bucket,
        endpoint_url=source.endpoint_url,
        region=source.region,
        path_style=source.path_style,
        credentials_secret_ref=source.credentials_secret_ref,
        key=entry.key,
    )
    adjacent = spec.destination.layout is Layout.ADJACENT
    prefix = "" if adjacent else spec.destination.s3.prefix
    target = dataclasses.replace(spec.destination.s3, prefix=prefix + _folder(spec, entry.key))
    if isinstance(target, S3BesideSources):
        target = dataclasses.replace(target, bucket=location.bucket)
    return _overridden(
        dataclasses.replace(
            spec,
            source=Source(single(location)),
            destination=dataclasses.replace(spec.destination, s3=target),
            dry_run=False,
        ),
        entry.overrides,
    )


def _folder(spec: Spec, key: str) -> str:
    """Return the folder of the file's results, with a slash at its end or empty."""
    layout, source = spec.destination.layout, spec.source.s3
    if layout is Layout.ADJACENT:
        return folder_of(key)
    if layout is Layout.FLAT or source.key is not None:
        return ""
    folder = key.rpartition("/")[0]
    if source.prefix is not None:
        root = source.prefix.rpartition("/")[0]
        folder = folder.removeprefix(root).lstrip("/")
    return f"{folder}/" if folder else ""


def _overridden(spec: Spec, overrides: Overrides) -> Spec:
    given = {item.name: getattr(overrides, item.name) for item in dataclasses.fields(overrides)}
    given = {name: value for name, value in given.items() if value is not None}
    audio = {name: given.pop(name) for name in ("clips", "channel") if name in given}
    decoding = {"initial_prompt": given.pop("initial_prompt")} if "initial_prompt" in given else {}
    return dataclasses.replace(
        spec,
        audio=dataclasses.replace(spec.audio, **audio),
        decoding=dataclasses.replace(spec.decoding, **decoding),
        **given,
    )


def encode_lines(items: Iterable[object]) -> bytes:
    """Return JSON Lines of dataclasses or of plain values."""
    return b"".join(_line(to_json(item)) for item in items)


def _line(value: Any) -> bytes:
    return (
        json.dumps(value, ensure_ascii=False, allow_nan=False, separators=(",", ":")).encode(errors="replace") + b"\n"
    )


def decode_lines(cls: type[T], text: bytes) -> Iterator[T]:
    """Read JSON Lines of one dataclass.

    Raises:
        ValueError: a line is no JSON, or a field does not fit (codec.InvalidFieldError).
    """
    for number, line in enumerate(text.split(b"\n"), start=1):
        if line:
            yield from_json(cls, json.loads(line), f"line {number}")
