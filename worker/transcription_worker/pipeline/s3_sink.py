"""Results in S3: transcripts, and last of all the report, whose presence says that they are whole."""

import dataclasses
import logging
import threading
from collections.abc import Callable, Sequence

from transcription_api import layout, reasons
from transcription_api.report import Report, WrittenObject
from transcription_api.spec import Format, Rerun, Spec

from transcription_worker.errors import WorkerError
from transcription_worker.pipeline.report import (
    CommittedReport,
    Provenance,
    ReportBeingReplaced,
    cut_preview,
    encode_committed,
    make_committed,
    make_report,
)
from transcription_worker.pipeline.s3_report import (
    UNREADABLE,
    FoundReport,
    read_report,
    require_free,
    require_no_report_among_results,
    source_object,
)
from transcription_worker.pipeline.s3_source import S3Input
from transcription_worker.pipeline.sink import TrackTranscript, Transcription
from transcription_worker.pipeline.source import InputVersion
from transcription_worker.storage.bucket import Bucket, ObjectInfo

log = logging.getLogger(__name__)

REPORT_CONTENT_TYPE = "application/json"
# The name of an empty object beside the report, there only while the destination is tried.
TRIAL_SUFFIX = ".trial"
# Bytes of a key in UTF-8: https://docs.aws.amazon.com/AmazonS3/latest/userguide/object-keys.html
KEY_LIMIT = 1024
# Bytes of a name between two slashes on servers that keep objects as files: NAME_MAX of Linux' limits.h.
NAME_LIMIT = 255


class S3Sink:
    """Writes the results of objects in S3. `spec` says which formats, for whichever object; `bucket_of` where results lie.

    `find_provenance` is called once, before the model is loaded. `uid` is that of the resource, for the report.
    """

    def __init__(
        self,
        spec: Spec,
        bucket_of: Callable[[Spec], Bucket],
        find_provenance: Callable[[], Provenance],
        uid: str | None = None,
    ) -> None:
        self._spec, self._bucket_of, self._uid = spec, bucket_of, uid
        self._find_provenance = find_provenance
        self._lock = threading.Lock()
        self._tried: set[str] = set()
        self._found_provenance: Provenance | None = None

    def find_results(self, item: S3Input, version: InputVersion) -> Report | None:
        """See `Sink.find_results`. The preview is as this spec asks for it.

        Raises:
            WorkerError: DestinationTaken, if the results of another source are there.
        """
        if not item.may_have_results:
            return None
        spec, etag = item.own_spec(self._spec), version.etag or ""
        found = self._find_own_report(spec, etag)
        if self._spec.rerun is Rerun.FORCE:
            return None
        committed = whole_result(self._bucket_of(spec), spec, etag, found, self._provenance())
        if committed is None:
            return None
        log.info("%s: the results are there already, whole: nothing to transcribe", item.name)
        preview = cut_preview(committed.preview, self._spec.preview.characters)
        return dataclasses.replace(committed.report, reused=True, preview=preview)

    def check_writable(self, item: S3Input) -> None:
        """Try each bucket once, with its first input: all results go below the same prefix, or beside their sources.

        Raises:
            WorkerError: DestinationDenied, NoSuchBucket and so on.
        """
        with self._lock:
            own = item.own_spec(self._spec)
            if own.destination.s3.bucket not in self._tried:
                try_destination(self._bucket_of(own), own)
                self._tried.add(own.destination.s3.bucket)

    def write(self, item: S3Input, version: InputVersion, transcription: Transcription) -> Report:
        """See `Sink.write`. Every object of the report was seen in the bucket.

        Whose results are there is looked at again first, since another worker may have written some meanwhile.

        Raises:
            WorkerError: DestinationTaken, DestinationDenied, EndpointUnreachable and so on.
        """
        spec, etag = item.own_spec(self._spec), version.etag or ""
        found = self._find_own_report(spec, etag) if item.may_have_results else None
        found = self._invalidate(spec, etag, found)
        objects = write_formats(self._bucket_of(spec), spec, transcription.tracks)
        preview = cut_preview(transcription.tracks[0].transcript.text, spec.preview.characters)
        report = make_report(transcription, version.etag, spec.quality.policy, objects, preview)
        source = source_object(item.location)
        committed = make_committed(
            layout.fingerprint(spec), source, report, transcription, self._provenance(), self._uid
        )
        self._commit(spec, etag, encode_committed(committed), found)
        return report

    def _find_own_report(self, spec: Spec, source_etag: str) -> FoundReport | None:
        """Return the report that the spec's source has already; WorkerError (DestinationTaken) if another source has it."""
        found = read_report(self._bucket_of(spec), spec)
        require_free(found, spec, source_etag)
        require_no_report_among_results(self._bucket_of(spec), spec)
        return found

    def _provenance(self) -> Provenance:
        with self._lock:
            if self._found_provenance is None:
                self._found_provenance = self._find_provenance()
            return self._found_provenance

    def _invalidate(self, spec: Spec, source_etag: str, found: FoundReport | None) -> FoundReport | None:
        """Put a note in the place of an earlier report before the first of its results is replaced.

        Otherwise the old report would call results whole that are partly old and partly new, and for ever if this worker
        dies in between. The note still says whose results they are.
        """
        if found is None:
            return None
        note = ReportBeingReplaced(source_object(spec.source.s3.object()))
        written = self._commit(spec, source_etag, encode_committed(note), found)
        return FoundReport(written.etag, None, source=note.source)

    def _commit(self, spec: Spec, source_etag: str, body: bytes, found: FoundReport | None) -> ObjectInfo:
        """Write the report in place of the one that was found, and of no other source's that came in between."""
        key = layout.report_key(spec)
        conditional = (
            found is None or found.etag is not None
        )  # an object without an ETag cannot be named in a condition
        if conditional and not spec.destination.overwrite:
            etag = None if found is None else found.etag
            written = self._bucket_of(spec).replace(key, body, REPORT_CONTENT_TYPE, etag)
            if written is not None:
                return written
            # It may be this very task's: two pods can run one Job, and a write can be done though its answer is lost.
            require_free(read_report(self._bucket_of(spec), spec), spec, source_etag)
        return self._bucket_of(spec).write(key, body, REPORT_CONTENT_TYPE)


def whole_result(
    bucket: Bucket, spec: Spec, source_etag: str, found: FoundReport | None, provenance: Provenance
) -> CommittedReport | None:
    """Return the report that was found if it is of this very task, model and worker, and its objects are unchanged."""
    committed = None if found is None else found.committed
    if committed is None:
        return None
    if committed.fingerprint != layout.fingerprint(spec) or committed.report.source_etag != source_etag:
        log.info("the results found are of another task or source")
        return None
    if committed.provenance != provenance:
        log.info("the results found are of another model or worker: %s", committed.provenance)
        return None
    if not _is_whole(spec, committed.report):
        return None
    return committed if all(_is_there(bucket, spec, written) for written in committed.report.objects) else None


def _is_whole(spec: Spec, report: Report) -> bool:
    """Whether every format of every channel is in the report, each once."""
    written = sorted((item.channel or 0, item.format.value) for item in report.objects)
    if len(written) != (report.channels or 1) * len(set(spec.formats)):
        return False
    return written == sorted(
        (channel, fmt.value) for channel in range(report.channels or 1) for fmt in set(spec.formats)
    )


def _is_there(bucket: Bucket, spec: Spec, written: WrittenObject) -> bool:
    try:
        info = bucket.head(layout.result_key(spec, written.format, written.channel))
    except WorkerError as error:
        if error.reason in UNREADABLE:
            return False
        raise
    return (info.size, info.etag) == (written.size, written.etag)


def try_destination(bucket: Bucket, spec: Spec) -> None:
    """Write, check and delete an empty object, before GPU time is spent.

    Another worker may try the same destination now, and delete the object in between.

    Raises:
        WorkerError: DestinationDenied, NoSuchBucket and so on.
    """
    try_key(bucket, trial_key(spec))


def try_key(bucket: Bucket, key: str) -> None:
    """Write, check and delete an empty object at a key; see `try_destination`."""
    bucket.put(key, b"", "application/octet-stream")
    try:
        bucket.head(key)
    except WorkerError as error:
        if error.reason is not reasons.NO_SUCH_KEY:
            raise
    try:
        bucket.delete(key)
    except WorkerError as error:
        if error.reason is not reasons.DESTINATION_DENIED:
            raise
        log.warning("may not delete: the empty object %r stays", key)


def trial_key(spec: Spec) -> str:
    """Return the key of the empty object. It is shorter where the server has no room for the report's key with a suffix."""
    key = layout.report_key(spec) + TRIAL_SUFFIX
    fits = len(key.encode()) <= KEY_LIMIT and len(key.rpartition("/")[2].encode()) <= NAME_LIMIT
    return key if fits else spec.destination.s3.prefix + TRIAL_SUFFIX


def write_formats(bucket: Bucket, spec: Spec, tracks: Sequence[TrackTranscript]) -> tuple[WrittenObject, ...]:
    """Write every format of every track, json last.

    Returns:
        The objects as a HEAD sees them afterwards, by track and in the spec's order of formats.
    """
    from transcription_worker.engines.formats.writers import FORMATS, render_format

    written = {}
    for fmt in sorted(set(spec.formats), key=lambda fmt: (fmt is Format.JSON, fmt.value)):
        for track in tracks:
            body = render_format(track.transcript, fmt, spec.subtitles)
            info = bucket.write(layout.result_key(spec, fmt, track.channel), body, FORMATS[fmt].content_type)
            written[track.channel, fmt] = WrittenObject(fmt, info.size, info.etag, track.channel)
    return tuple(written[track.channel, fmt] for track in tracks for fmt in dict.fromkeys(spec.formats))
