"""Read the list of files that a user wrote as JSON Lines."""

import json
import re
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any, NoReturn

from transcription_api import reasons
from transcription_api.codec import InvalidFieldError, from_json_strictly
from transcription_api.decoding import LONGEST_AUDIO_SECONDS, MAX_CLIPS
from transcription_api.languages import CODES
from transcription_api.model import DEFAULT_MODEL, can_translate, knows_language
from transcription_api.s3 import BUCKET, MAX_FILES
from transcription_api.spec import Channel, Clip, Format, Spec, TaskKind

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


def read_manifest(path: Path, name: str, spec: Spec) -> Iterator[ManifestLine]:
    """Read the lines of a manifest. Empty lines do not count; `name` is its key, and `spec` what lines take precedence over.

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
            yield _parse(line, number, name, spec)


def _parse(line: bytes, number: int, name: str, spec: Spec) -> ManifestLine:
    where = f"line {number}"
    try:
        value = json.loads(line, object_pairs_hook=partial(_object, where), parse_constant=_no_number)
        parsed = from_json_strictly(ManifestLine, value, where)
        _check(parsed, where)
        _check_model(parsed, where, spec)
    except InvalidFieldError as error:
        raise _invalid(name, str(error)) from error
    except (ValueError, RecursionError) as error:
        raise _invalid(name, f"line {number}: expected one JSON object") from error
    return parsed


def _object(where: str, pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    """Refuse a field that is there twice: of two keys the first would be left out without a word."""
    for name, count in Counter(name for name, _ in pairs).items():
        if count > 1:
            raise InvalidFieldError(f"{where}.{name}", f"{count} of them", "one at the most")
    return dict(pairs)


def _no_number(constant: str) -> NoReturn:
    """Refuse NaN and Infinity, which Python reads and which are no JSON."""
    raise ValueError(constant)


def _check_model(line: ManifestLine, where: str, spec: Spec) -> None:
    """Refuse what the model cannot do, as the custom resource's rules do: it would write something else all the same."""
    if spec.model.s3 is not None or spec.model.volume is not None:
        return
    model = spec.model.name or DEFAULT_MODEL
    task, language = line.task or spec.task, line.language or spec.language
    if task is TaskKind.TRANSLATE and not can_translate(model):
        raise InvalidFieldError(f"{where}.task", task.value, f"transcribe: the model {model} cannot translate")
    if not knows_language(model, language):
        raise InvalidFieldError(f"{where}.language", language, f"one that the model {model} knows, or auto")


def _check(line: ManifestLine, where: str) -> None:
    """Raise InvalidFieldError for what the schema of the custom resource would refuse."""
    texts = (("key", line.key, KEY_LIMIT), ("reference", line.reference, REFERENCE_LIMIT))
    for field, text, limit in (*texts, ("initialPrompt", line.initial_prompt, PROMPT_LIMIT)):
        if text is not None and len(text.encode(errors="surrogatepass")) > limit:
            raise InvalidFieldError(f"{where}.{field}", text, f"at most {limit} bytes in UTF-8")
    # Any other key may be in a listing, and so in the failed.jsonl of a run, which is the next one's manifest.
    if not line.key or line.key.endswith("/"):
        raise InvalidFieldError(f"{where}.key", line.key, "an object key without a slash at its end")
    if any(0xD800 <= ord(character) < 0xE000 for character in line.key):
        raise InvalidFieldError(f"{where}.key", line.key, "no lone surrogates")
    if line.bucket is not None and not (3 <= len(line.bucket) <= 63 and re.fullmatch(BUCKET, line.bucket)):
        raise InvalidFieldError(f"{where}.bucket", line.bucket, "the name of a bucket")
    if line.language is not None and line.language not in ("auto", *CODES):
        raise InvalidFieldError(f"{where}.language", line.language, "auto, or a language's code, as in pt")
    if line.formats is not None and (not line.formats or len(set(line.formats)) < len(line.formats)):
        raise InvalidFieldError(f"{where}.formats", [item.value for item in line.formats], "each format at most once")
    _check_clips(line.clips or (), f"{where}.clips")


def _check_clips(clips: tuple[Clip, ...], where: str) -> None:
    if len(clips) > MAX_CLIPS:
        raise InvalidFieldError(where, f"{len(clips)} of them", f"at most {MAX_CLIPS}")
    for number, clip in enumerate(clips):
        if not all(0 <= time <= LONGEST_AUDIO_SECONDS for time in (clip.start, clip.end or 0)):
            raise InvalidFieldError(
                f"{where}[{number}]", [clip.start, clip.end], f"seconds from 0 to {LONGEST_AUDIO_SECONDS}"
            )
        following = clips[number + 1] if number + 1 < len(clips) else None
        if clip.end is not None and clip.end <= clip.start:
            raise InvalidFieldError(f"{where}[{number}]", clip.end, f"an end after the start {clip.start}")
        if following is not None and (clip.end is None or clip.end > following.start):
            raise InvalidFieldError(f"{where}[{number}]", clip.end, "clips in ascending order and without overlap")


def _invalid(name: str, words: str) -> WorkerError:
    return WorkerError(reasons.MANIFEST_INVALID, f"spec.source.s3.manifest: {name!r}: {words}")
