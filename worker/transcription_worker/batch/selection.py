"""Which objects below a prefix are files to transcribe, and which rule skips the others."""

import functools
import re
from collections.abc import Iterable
from datetime import UTC, datetime
from pathlib import PurePosixPath

from transcription_api.layout import MEDIA_EXTENSIONS, RUNS_FOLDER
from transcription_api.spec import Layout, Spec

from transcription_worker.storage.object_listing import ListedObject

# The rules, by the names that the status and skipped.jsonl tell.
FOLDER = "Folder"  # an empty object whose key ends with a slash, as consoles create for a folder
NOT_INCLUDED = "NotIncluded"
EXCLUDED = "Excluded"
TOO_SMALL = "TooSmall"
TOO_LARGE = "TooLarge"
NOT_MODIFIED = "NotModifiedAfter"
OWN_RESULT = "OwnResult"  # below the destination's prefix, or of a run
NOT_MEDIA = "NotMedia"
DUPLICATE = "Duplicate"  # named twice

# Extensions of objects that often lie beside media and never are any. An object with one of them is not looked into; of one
# without a known extension the first bytes decide; an empty one is a mark that some program left, such as _SUCCESS.
OTHER_EXTENSIONS = frozenset(
    ".bz2 .c .cfg .conf .css .csv .doc .docx .gif .gz .htm .html .ico .ini .ipynb .jpeg .jpg .js .json .jsonl .log .md .md5 "
    ".ods .odt .parquet .pdf .png .ppt .pptx .py .rar .rst .rtf .sh .sha1 .sha256 .sql .srt .svg .tar .tgz .tif .tiff .toml "
    ".tsv .txt .vtt .webp .xls .xlsx .xml .xz .yaml .yml .zip .zst".split()
)


def skipping_rule(spec: Spec, item: ListedObject) -> str | None:
    """Return the rule that skips an object below the source's prefix, or None for a file that may be media."""
    source = spec.source.s3
    rest = item.key.removeprefix(source.prefix or "")
    if item.key.endswith("/"):
        return FOLDER
    if _is_own(spec, item.key):
        return OWN_RESULT
    if source.include and not _matches(source.include, rest):
        return NOT_INCLUDED
    if _matches(source.exclude, rest):
        return EXCLUDED
    if source.min_size is not None and item.size < source.min_size:
        return TOO_SMALL
    if source.max_size is not None and item.size > source.max_size:
        return TOO_LARGE
    if source.modified_after is not None and item.modified <= _time(source.modified_after):
        return NOT_MODIFIED
    if extension(item.key) in OTHER_EXTENSIONS or (item.size == 0 and not is_media_name(item.key)):
        return NOT_MEDIA
    return None


def extension(key: str) -> str:
    """Return the extension of a key in small letters, with its dot."""
    return PurePosixPath(key).suffix.lower()


def is_media_name(key: str) -> bool:
    """Whether the extension is one of media files."""
    return extension(key) in MEDIA_EXTENSIONS


def _is_own(spec: Spec, key: str) -> bool:
    """Whether an object of the source's bucket is a result, or an object of a run."""
    source, destination = spec.source.s3, spec.destination
    if (source.bucket, source.endpoint_url) != (destination.s3.bucket, destination.s3.endpoint_url):
        return False
    if destination.layout is Layout.ADJACENT or not destination.s3.prefix:
        return key.startswith(destination.s3.prefix + RUNS_FOLDER)
    return key.startswith(destination.s3.prefix) and not (source.prefix or "").startswith(destination.s3.prefix)


def _matches(globs: Iterable[str], text: str) -> bool:
    return any(compile_glob(glob).fullmatch(text) for glob in globs)


@functools.lru_cache(maxsize=128)
def compile_glob(glob: str) -> re.Pattern[str]:
    """Return the regular expression of a glob: ** for any text, * for any without a slash, ? for one character.

    **/ stands for any folders, also none, so that **/*.mp3 matches a.mp3.

    Matching takes a time in proportion to the square of the text's length at most, however many stars there are: between
    two of them the first place that fits is as good as any, so that the atomic groups, (?>...), never go back to try
    another one. It is not before a **/ that follows no slash, as in a**/b, which means nothing that a**b does not.
    """
    first, *others = re.split(r"((?:\*\*/?)+)", glob)
    spans = ["", *("(?:.*?/)??" if re.fullmatch(r"(\*\*/)+", run) else ".*?" for run in others[::2])]
    found = ""
    for span, part, following in zip(spans, [first, *others[1::2]], [*spans[1:], None], strict=True):
        goes_back = following is None or (following != ".*?" and not part.endswith("/"))
        inside = span + _in_folder(part, goes_back)
        found += inside if goes_back else f"(?>{inside})"
    return re.compile(found, re.DOTALL)


def _in_folder(glob: str, goes_back: bool) -> str:
    """Return the expression of a glob without **. `goes_back` says that where it ends is not any place that fits."""
    first, *others = (re.escape(text).replace(r"\?", "[^/]") for text in glob.split("*"))
    if not others:
        return first
    atomic = others[:-1] if goes_back else others
    found = first + "".join(f"(?>[^/]*?{text})" for text in atomic)
    return f"{found}[^/]*{others[-1]}" if goes_back else found


def _time(text: str) -> datetime:
    return datetime.fromisoformat(text).astimezone(UTC)
