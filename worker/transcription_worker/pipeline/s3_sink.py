"""Results in S3: transcripts, and last of all the report, whose presence says that they are whole."""

import dataclasses
import json
import logging
import threading
from collections.abc import Sequence

from transcription_api import layout, reasons
from transcription_api.codec import from_json
from transcription_api.report import Report, WrittenObject
from transcription_api.spec import Format, Source, Spec

from transcription_worker.errors import WorkerError
from transcription_worker.pipeline.report import (
    CommittedReport,
    cut_preview,
    encode_committed,
    make_committed,
    make_report,
)
from transcription_worker.pipeline.s3_source import S3Input
from transcription_worker.pipeline.sink import TrackTranscript, Transcription
from transcription_worker.pipeline.source import InputVersion
from transcription_worker.storage.bucket import Bucket

log = logging.getLogger(__name__)

REPORT_CONTENT_TYPE = "application/json"
# The name of an empty object beside the report, there only while the destination is tried.
TRIAL_SUFFIX = ".trial"

# Results that cannot be read count as missing: they are written anew, and if that is forbidden the trial says so.
_NO_RESULTS = (reasons.NO_SUCH_KEY, reasons.DESTINATION_DENIED)


class S3Sink:
    """Writes the results of objects in S3 below one prefix. `spec` says which formats, for whichever object."""

    def __init__(self, spec: Spec, bucket: Bucket) -> None:
        self._spec, self._bucket = spec, bucket
        self._trial_lock = threading.Lock()
        self._tried = False

    def find_results(self, item: S3Input, version: InputVersion) -> Report | None:
        """See `Sink.find_results`. The preview is as this spec asks for it."""
        committed = find_result(self._bucket, self._spec_of(item), version.etag or "")
        if committed is None:
            return None
        log.info("%s: the results are there already, whole: nothing to transcribe", item.name)
        preview = cut_preview(committed.preview, self._spec.preview.characters)
        return dataclasses.replace(committed.report, reused=True, preview=preview)

    def check_writable(self, item: S3Input) -> None:
        """Try the destination once, with the first input: all results go below the same prefix.

        Raises:
            WorkerError: DestinationDenied, NoSuchBucket and so on.
        """
        with self._trial_lock:
            if not self._tried:
                try_destination(self._bucket, self._spec_of(item))
                self._tried = True

    def write(self, item: S3Input, version: InputVersion, transcription: Transcription) -> Report:
        """See `Sink.write`. Every object of the report was seen in the bucket.

        Raises:
            WorkerError: DestinationDenied, EndpointUnreachable and so on.
        """
        spec = self._spec_of(item)
        objects = write_formats(self._bucket, spec, transcription.tracks)
        preview = cut_preview(transcription.tracks[0].transcript.text, spec.preview.characters)
        report = make_report(transcription, version.etag, spec.quality.policy, objects, preview)
        committed = make_committed(layout.fingerprint(spec), report, transcription)
        self._bucket.write(layout.report_key(spec), encode_committed(committed), REPORT_CONTENT_TYPE)
        return report

    def _spec_of(self, item: S3Input) -> Spec:
        return dataclasses.replace(self._spec, source=Source(item.location))


def find_result(bucket: Bucket, spec: Spec, source_etag: str) -> CommittedReport | None:
    """Return the report of an earlier run of the same task on the same source, if every object of it is unchanged."""
    committed = _read_report(bucket, spec)
    if committed is None:
        return None
    if committed.fingerprint != layout.fingerprint(spec) or committed.report.source_etag != source_etag:
        log.info("the results found are of another task or source")
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


def _read_report(bucket: Bucket, spec: Spec) -> CommittedReport | None:
    try:
        value = json.loads(bucket.read(layout.report_key(spec)))
        return from_json(CommittedReport, value, "report") if isinstance(value, dict) else None
    except WorkerError as error:
        if error.reason in _NO_RESULTS:
            return None
        raise
    except ValueError as error:
        log.info("the report found is not of this version: %s", type(error).__name__)
        return None


def _is_there(bucket: Bucket, spec: Spec, written: WrittenObject) -> bool:
    try:
        info = bucket.head(layout.result_key(spec, written.format, written.channel))
    except WorkerError as error:
        if error.reason in _NO_RESULTS:
            return False
        raise
    return (info.size, info.etag) == (written.size, written.etag)


def try_destination(bucket: Bucket, spec: Spec) -> None:
    """Write, check and delete an empty object, before GPU time is spent.

    Raises:
        WorkerError: DestinationDenied, NoSuchBucket and so on.
    """
    key = layout.report_key(spec) + TRIAL_SUFFIX
    bucket.write(key, b"", "application/octet-stream")
    try:
        bucket.delete(key)
    except WorkerError as error:
        if error.reason is not reasons.DESTINATION_DENIED:
            raise
        log.warning("may not delete: the empty object %r stays", key)


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
