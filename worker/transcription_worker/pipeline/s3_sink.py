"""Results in S3: transcripts, and last of all the report, whose presence says that they are whole."""

import dataclasses
import logging
import threading
from collections.abc import Callable, Sequence
from functools import partial

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
    require_no_result_of_another,
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

        What the results are made with is found here, too. Later, a model that was replaced in S3 after it was loaded would give
        its name to results that are not its own.

        Raises:
            WorkerError: DestinationDenied, NoSuchBucket, ModelNotFound and so on.
        """
        self._provenance()
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
        found, objects = self._write_results(spec, etag, transcription.tracks, found)
        report, body = self._make_report(item, version, transcription, objects)
        if self._replace_report(spec, etag, body, found) is None:
            # Two pods can run one Job: some of what lies there may be the other one's, of which the text may be another.
            bucket = self._bucket_of(spec)
            objects = write_formats(bucket.write, spec, transcription.tracks)
            report, body = self._make_report(item, version, transcription, objects)
            bucket.write(layout.report_key(spec), body, REPORT_CONTENT_TYPE)
        return report

    def _make_report(
        self, item: S3Input, version: InputVersion, transcription: Transcription, objects: tuple[WrittenObject, ...]
    ) -> tuple[Report, bytes]:
        """Return the report of these results, and what is written of it."""
        spec = item.own_spec(self._spec)
        preview = cut_preview(transcription.tracks[0].transcript.text, spec.preview.characters)
        report = make_report(transcription, version.etag, spec.quality.policy, objects, preview)
        source = source_object(item.location)
        committed = make_committed(
            layout.fingerprint(spec), source, report, transcription, self._provenance(), self._uid
        )
        return report, encode_committed(committed)

    def _find_own_report(self, spec: Spec, source_etag: str) -> FoundReport | None:
        """Return the report that the spec's source has already; WorkerError (DestinationTaken) if another source has it."""
        found = read_report(self._bucket_of(spec), spec)
        require_free(found, spec, source_etag)
        require_no_report_among_results(self._bucket_of(spec), spec)
        return found

    def _write_results(
        self, spec: Spec, source_etag: str, tracks: Sequence[TrackTranscript], found: FoundReport | None
    ) -> tuple[FoundReport | None, tuple[WrittenObject, ...]]:
        """Write the results. Return them, and what is at the report's key by then.

        Where nothing was found each is written only if its key is still free. Otherwise somebody has written there, such as
        another source's worker a moment ago, and the report's key decides between the two before anything is replaced.
        """
        bucket = self._bucket_of(spec)
        if found is None and not spec.destination.overwrite:
            try:
                return None, write_formats(partial(_write_new, bucket), spec, tracks)
            except _KeyTakenError as taken:
                log.info("there are results already that no report was found of: %s", taken)
            found = self._find_own_report(spec, source_etag)
            require_no_result_of_another(bucket, spec, [track.channel for track in tracks])
            found = self._claim(spec, source_etag, found)
        elif found is not None:
            found = self._claim(spec, source_etag, found)
        return found, write_formats(bucket.write, spec, tracks)

    def _provenance(self) -> Provenance:
        with self._lock:
            if self._found_provenance is None:
                self._found_provenance = self._find_provenance()
            return self._found_provenance

    def _claim(self, spec: Spec, source_etag: str, found: FoundReport | None) -> FoundReport:
        """Put a note in the place of the report before the first of its results is replaced.

        Otherwise the old report would call results whole that are partly old and partly new, and for ever if this worker
        dies in between. The note still says whose results they are.

        Raises:
            WorkerError: DestinationTaken, if another source's worker came first.
        """
        note = ReportBeingReplaced(source_object(spec.source.s3.object()))
        body = encode_committed(note)
        written = self._replace_report(spec, source_etag, body, found) or self._bucket_of(spec).write(
            layout.report_key(spec), body, REPORT_CONTENT_TYPE
        )
        return FoundReport(written.etag, None, source=note.source)

    def _replace_report(
        self, spec: Spec, source_etag: str, body: bytes, found: FoundReport | None
    ) -> ObjectInfo | None:
        """Write the report in place of the one that was found. None, and nothing is written, if it is no longer there.

        That may be this very worker's doing, where a write was done though its answer was lost.

        Raises:
            WorkerError: DestinationTaken, if another source's report came in between.
        """
        bucket, key = self._bucket_of(spec), layout.report_key(spec)
        # An object without an ETag cannot be named in a condition.
        if spec.destination.overwrite or (found is not None and found.etag is None):
            return bucket.write(key, body, REPORT_CONTENT_TYPE)
        written = bucket.replace(key, body, REPORT_CONTENT_TYPE, None if found is None else found.etag)
        if written is None:
            require_free(read_report(bucket, spec), spec, source_etag)
        return written


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


class _KeyTakenError(Exception):
    """Says that an object lies at a key that was to be free. The message is the key."""


def _write_new(bucket: Bucket, key: str, body: bytes, content_type: str) -> ObjectInfo:
    written = bucket.replace(key, body, content_type, None)
    if written is None:
        raise _KeyTakenError(key)
    return written


def write_formats(
    write: Callable[[str, bytes, str], ObjectInfo], spec: Spec, tracks: Sequence[TrackTranscript]
) -> tuple[WrittenObject, ...]:
    """Write every format of every track, json last. `write` has the arguments of Bucket.write.

    Returns:
        The objects as a HEAD sees them afterwards, by track and in the spec's order of formats.
    """
    from transcription_worker.engines.formats.writers import FORMATS, render_format

    written = {}
    for fmt in sorted(set(spec.formats), key=lambda fmt: (fmt is Format.JSON, fmt.value)):
        for track in tracks:
            body = render_format(track.transcript, fmt, spec.subtitles)
            info = write(layout.result_key(spec, fmt, track.channel), body, FORMATS[fmt].content_type)
            written[track.channel, fmt] = WrittenObject(fmt, info.size, info.etag, track.channel)
    return tuple(written[track.channel, fmt] for track in tracks for fmt in dict.fromkeys(spec.formats))
