"""Read the list of files that a user wrote as JSON Lines."""

import json
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from transcription_api import reasons
from transcription_api.codec import InvalidFieldError, from_json_strictly
from transcription_api.languages import CODES
from transcription_api.s3 import MAX_FILES
from transcription_api.spec import Channel, Clip, Format, TaskKind

from transcription_worker.batch.entries import Overrides
from transcription_worker.errors import WorkerError

# Bytes. 100,000 lines of 2 KiB; a larger object is refused before it is read.
MANIFEST_LIMIT = 200 << 20
LINE_LIMIT = 64 << 10
KEY_LIMIT = 1024
REFERENCE_LIMIT = 1024
PROMPT_LIMIT = 4096


@dataclass(frozen=True)
class ManifestLine:
    """One file of a manifest. Fields other than `key` take precedence over the spec's, where they are given.

    `reference` is the user's own text for the file, which reports repeat.
    """

    key: str
    bucket: str | None = None
    reference: str | None = None
    language: str | None = None
    task: TaskKind | None = None
    initial_prompt: str | None = None
    clips: tuple[Clip, ...] | None = None
    channel: Channel | None = None
    formats: tuple[Format, ...] | None = None

    @property
    def overrides(self) -> Overrides:
        """The fields that take precedence over the spec's."""
        return Overrides(self.language, self.task, self.initial_prompt, self.clips, self.channel, self.formats)


def read_manifest(path: Path, name: str) -> Iterator[ManifestLine]:
    """Read the lines of a manifest. Empty lines do not count; `name` is its key.

    Raises:
        WorkerError: ManifestInvalid, which names line and field; TooManyFiles.
    """
    count = 0
    with path.open("rb") as file:
        for number, line in enumerate(iter(lambda: file.readline(LINE_LIMIT + 1), b""), start=1):
            if len(line) > LINE_LIMIT:
                raise _invalid(name, f"line {number}: got more than {LINE_LIMIT} bytes, expected a file's own fields")
            if not line.strip():
                continue
            count += 1
            if count > MAX_FILES:
                message = (
                    f"spec.source.s3.manifest: {name!r} has more than {MAX_FILES} files, expected at most {MAX_FILES}"
                )
                raise WorkerError(reasons.TOO_MANY_FILES, message)
            yield _parse(line, number, name)


def _parse(line: bytes, number: int, name: str) -> ManifestLine:
    try:
        value = json.loads(line)
        parsed = from_json_strictly(ManifestLine, value, f"line {number}")
        _check(parsed, f"line {number}")
    except InvalidFieldError as error:
        raise _invalid(name, str(error)) from error
    except (ValueError, RecursionError) as error:
        raise _invalid(name, f"line {number}: expected one JSON object") from error
    return parsed


def _check(line: ManifestLine, where: str) -> None:
    """Raise InvalidFieldError for what the schema of the custom resource would refuse."""
    texts = (("key", line.key, KEY_LIMIT), ("reference", line.reference, REFERENCE_LIMIT))
    for field, text, limit in (*texts, ("initialPrompt", line.initial_prompt, PROMPT_LIMIT)):
        if text is not None and len(text.encode(errors="surrogatepass")) > limit:
            raise InvalidFieldError(f"{where}.{field}", text, f"at most {limit} bytes in UTF-8")
    if not line.key or line.key.startswith("/") or line.key.endswith("/"):
        raise InvalidFieldError(f"{where}.key", line.key, "an object key without a slash at its start or end")
    if any(ord(character) < 32 or 0xD800 <= ord(character) < 0xE000 for character in line.key):
        raise InvalidFieldError(f"{where}.key", line.key, "no control characters and no lone surrogates")
    if line.language is not None and line.language not in ("auto", *CODES):
        raise InvalidFieldError(f"{where}.language", line.language, "auto, or a language's code, as in pt")
    if line.formats is not None and (not line.formats or len(set(line.formats)) < len(line.formats)):
        raise InvalidFieldError(f"{where}.formats", [item.value for item in line.formats], "each format at most once")
    _check_clips(line.clips or (), f"{where}.clips")


def _check_clips(clips: tuple[Clip, ...], where: str) -> None:
    for number, clip in enumerate(clips):
        following = clips[number + 1] if number + 1 < len(clips) else None
        if clip.start < 0 or (clip.end is not None and clip.end <= clip.start):
            raise InvalidFieldError(f"{where}[{number}]", clip.end, f"an end after the start {clip.start}")
        if following is not None and (clip.end is None or clip.end > following.start):
            raise InvalidFieldError(f"{where}[{number}]", clip.end, "clips in ascending order and without overlap")


def _invalid(name: str, words: str) -> WorkerError:
    return WorkerError(reasons.MANIFEST_INVALID, f"spec.source.s3.manifest: {name!r}: {words}")
