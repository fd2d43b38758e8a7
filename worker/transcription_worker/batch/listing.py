"""Find the files that the source of a run names, and those that cannot be transcribed."""

import dataclasses
import logging
import tempfile
from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path

from transcription_api import reasons
from transcription_api.decoding import LONGEST_AUDIO_SECONDS
from transcription_api.s3 import MAX_FILES
from transcription_api.spec import S3Endpoint, Spec

from transcription_worker.batch import selection
from transcription_worker.batch.entries import Entry, Overrides
from transcription_worker.batch.header_processes import HeaderProcesses
from transcription_worker.batch.media_headers import estimated_seconds, read_header
from transcription_worker.batch.outcomes import Row, refused_row
from transcription_worker.batch.sharding import WINDOW_SECONDS
from transcription_worker.batch.user_manifest import MANIFEST_LIMIT, read_manifest
from transcription_worker.errors import WorkerError
from transcription_worker.paths import Paths
from transcription_worker.storage.bucket import Bucket
from transcription_worker.storage.object_listing import ListedObject
from transcription_worker.storage.roles import Role

log = logging.getLogger(__name__)

# Headers that are read at the same time.
READERS = 16
# Bytes of 30 s at the least that speech is coded in: 6 kbit/s by Opus, and 8,000 samples of a byte each. The work for a
# smaller file is known without a request, and its length is estimated.
ONE_WINDOW, ONE_WINDOW_OF_PCM = 22_500, 240_000
# What S3 refuses of one object and not of its bucket.
OF_ONE_FILE = (
    reasons.NO_SUCH_KEY,
    reasons.ACCESS_DENIED,
    reasons.OBJECT_ARCHIVED,
    reasons.ENCRYPTION_KEY_DENIED,
    reasons.SOURCE_CHANGED,
    reasons.UNSUPPORTED_MEDIA,
)
# A message about a missing permission to list says which one it is.
LIST_ADVICE = "to list a prefix the credentials need s3:ListBucket"


@dataclass(frozen=True)
class Candidate:
    """A file that is named or listed, before anything of it is read. `etag` is known of a listed one."""

    key: str
    bucket: str | None = None
    reference: str | None = None
    overrides: Overrides = field(default_factory=Overrides)
    etag: str | None = None
    size: int = 0
    listed: bool = False


@dataclass
class Found:
    """All that a source names: files to transcribe, files that cannot be, and objects that are skipped, by their rule."""

    entries: list[Entry] = field(default_factory=list)
    failed: list[Row] = field(default_factory=list)
    skipped: list[tuple[str, str]] = field(default_factory=list)  # rule and key

    @property
    def skipped_by(self) -> "Counter[str]":
        """The number of skipped objects by rule."""
        return Counter(rule for rule, _ in self.skipped)


class SourceBuckets:
    """The buckets of the source: its own, and those that lines of a manifest name, reached in the same way."""

    def __init__(self, spec: Spec, paths: Paths) -> None:
        source = spec.source.s3
        names = (item.name for item in dataclasses.fields(S3Endpoint))
        self._endpoint = S3Endpoint(**{name: getattr(source, name) for name in names})
        self._paths = paths
        self._buckets: dict[str, Bucket] = {}

    def of(self, name: str | None) -> Bucket:
        """Return a bucket by its name; the source's own for None."""
        name = name or self._endpoint.bucket
        if name not in self._buckets:
            self._buckets[name] = Bucket(dataclasses.replace(self._endpoint, bucket=name), Role.SOURCE, self._paths)
        return self._buckets[name]


def find_files(spec: Spec, paths: Paths, tell: Callable[[int], None]) -> Found:
    """Return what the source names, each file with its ETag, size and length. `tell` is called with how many are read.

    Raises:
        WorkerError: TooManyFiles, ManifestInvalid, AccessDenied, EndpointUnreachable and so on.
    """
    found, buckets = Found(), SourceBuckets(spec, paths)
    candidates = list(_distinct(_candidates(spec, buckets, paths, found), spec.source.s3.bucket, found))
    for candidate in candidates:
        buckets.of(candidate.bucket)  # not made by several threads at once
    with HeaderProcesses() as processes, ThreadPoolExecutor(READERS, thread_name_prefix="header") as threads:
        results = threads.map(lambda item: _read(item, buckets, processes), candidates)
        for number, (candidate, result) in enumerate(zip(candidates, results, strict=True)):
            _sort(number, candidate, result, found)
            tell(number + 1)
    return found


def _candidates(spec: Spec, buckets: SourceBuckets, paths: Paths, found: Found) -> Iterator[Candidate]:
    source = spec.source.s3
    if source.prefix is not None:
        yield from _listed(spec, source.prefix, buckets, found)
    elif source.manifest is not None:
        yield from _from_manifest(spec, source.manifest, buckets, paths)
    else:
        yield from (Candidate(key) for key in source.keys or (source.object().key,))


def _listed(spec: Spec, prefix: str, buckets: SourceBuckets, found: Found) -> Iterator[Candidate]:
    count = 0
    for item in _list(buckets.of(None), prefix):
        rule = selection.skipping_rule(spec, item)
        if rule is not None:
            found.skipped.append((rule, item.key))
            continue
        count += 1
        if count > MAX_FILES:
            message = f"spec.source.s3.prefix: {prefix!r} has more than {MAX_FILES} files, expected at most {MAX_FILES}"
            raise WorkerError(reasons.TOO_MANY_FILES, message)
        yield Candidate(item.key, etag=item.etag, size=item.size, listed=True)


def _list(bucket: Bucket, prefix: str) -> Iterator[ListedObject]:
    try:
        yield from bucket.list(prefix)
    except WorkerError as error:
        if error.reason is not reasons.ACCESS_DENIED:
            raise
        raise WorkerError(error.reason, f"{error.message}; {LIST_ADVICE}") from error


def _from_manifest(spec: Spec, key: str, buckets: SourceBuckets, paths: Paths) -> Iterator[Candidate]:
    bucket = buckets.of(None)
    info = bucket.find(key)
    if info.size > MANIFEST_LIMIT:
        message = f"spec.source.s3.manifest: {key!r} has {info.size} bytes, expected at most {MANIFEST_LIMIT}"
        raise WorkerError(reasons.MANIFEST_INVALID, message)
    with tempfile.TemporaryDirectory(prefix="manifest-", dir=paths.scratch) as folder:
        path = Path(folder) / "manifest"
        bucket.download(key, info, path)
        # Read to its end before a file is looked at: a bad last line costs no request.
        lines = list(read_manifest(path, key, spec))
    for line in lines:
        yield Candidate(line.key, line.bucket, line.reference, line.overrides)


def _distinct(candidates: Iterable[Candidate], bucket: str, found: Found) -> Iterator[Candidate]:
    """Leave out a file that is named twice with the same fields. `bucket` is that of files which name none."""
    seen: set[tuple[str, str, Overrides]] = set()
    for item in candidates:
        identity = (item.bucket or bucket, item.key, item.overrides)
        if identity in seen:
            found.skipped.append((selection.DUPLICATE, item.key))
            continue
        seen.add(identity)
        yield item


@dataclass(frozen=True)
class _Read:
    """What was read of a candidate."""

    etag: str
    size: int
    seconds: float
    has_audio: bool


def _is_one_window(item: Candidate) -> bool:
    """Whether a listed media file is so small that it cannot be longer than one window, whatever its header says."""
    limit = ONE_WINDOW_OF_PCM if selection.extension(item.key) == ".wav" else ONE_WINDOW
    return bool(item.etag) and selection.is_media_name(item.key) and 0 < item.size <= limit


def _read(item: Candidate, buckets: SourceBuckets, processes: HeaderProcesses) -> _Read | WorkerError:
    """Read the header; a failure is that file's alone, but one that concerns the whole source is raised."""
    if _is_one_window(item):
        return _Read(item.etag or "", item.size, min(estimated_seconds(item.size), WINDOW_SECONDS), True)
    try:
        header = read_header(buckets.of(item.bucket), item.key, processes, item.etag)
    except WorkerError as error:
        if error.reason in OF_ONE_FILE or (item.bucket is not None and error.reason.permanent):
            return error
        raise
    seconds = header.seconds if header.seconds is not None else estimated_seconds(header.object.size)
    # A header may announce ages; what is longer than the longest audio fails, and is no work.
    return _Read(header.object.etag, header.object.size, min(seconds, LONGEST_AUDIO_SECONDS), header.has_audio)


def _sort(number: int, item: Candidate, result: _Read | WorkerError, found: Found) -> None:
    """Put a candidate among the files, the failed ones or the skipped ones.

    An object that somebody named is never skipped, and one with a media file's name neither: the worker says what is wrong.
    """
    if isinstance(result, WorkerError):
        entry = Entry(number, item.key, item.etag or "", item.size, 0.0, item.bucket, item.reference, item.overrides)
        found.failed.append(refused_row(entry, result))
        return
    if item.listed and not result.has_audio and not selection.is_media_name(item.key):
        found.skipped.append((selection.NOT_MEDIA, item.key))
        return
    found.entries.append(
        Entry(number, item.key, result.etag, result.size, result.seconds, item.bucket, item.reference, item.overrides)
    )
