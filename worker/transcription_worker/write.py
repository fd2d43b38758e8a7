"""The destination: a result that is there already, the trial before GPU time is spent, and the writing."""

import json
import logging
from collections.abc import Sequence

from transcription_api import layout, reasons
from transcription_api.codec import from_json
from transcription_api.report import Report, WrittenObject
from transcription_api.spec import Format, Spec

from transcription_worker.errors import WorkerError
from transcription_worker.report import Committed, document
from transcription_worker.storage.bucket import Bucket
from transcription_worker.transcribe import Transcribed

log = logging.getLogger(__name__)

REPORT_CONTENT_TYPE = "application/json"
# Beside the report; there only while the destination is tried.
TRIAL_SUFFIX = ".trial"

# A result that cannot be read is no result: it is written anew, and if that is forbidden the trial says so.
_NO_RESULT = (reasons.NO_SUCH_KEY, reasons.DESTINATION_DENIED)


def find_result(bucket: Bucket, spec: Spec, source_etag: str) -> Committed | None:
    """The result of an earlier run of the same task on the same source, if every object of it is as it was written."""
    committed = _read_report(bucket, spec)
    if committed is None:
        return None
    if committed.fingerprint != layout.fingerprint(spec) or committed.report.source_etag != source_etag:
        log.info("the result found is of another task or source")
        return None
    if not _is_whole(spec, committed.report):
        return None
    return committed if all(_is_there(bucket, spec, written) for written in committed.report.objects) else None


def _is_whole(spec: Spec, report: Report) -> bool:
    """Every format of every channel, each once."""
    told = sorted((written.channel or 0, written.format.value) for written in report.objects)
    if len(told) != (report.channels or 1) * len(set(spec.formats)):
        return False
    return told == sorted((channel, fmt.value) for channel in range(report.channels or 1) for fmt in set(spec.formats))


def _read_report(bucket: Bucket, spec: Spec) -> Committed | None:
    try:
        value = json.loads(bucket.read(layout.report_key(spec)))
        return from_json(Committed, value, "report") if isinstance(value, dict) else None
    except WorkerError as error:
        if error.reason in _NO_RESULT:
            return None
        raise
    except ValueError as error:
        log.info("the report found is not of this version: %s", type(error).__name__)
        return None


def _is_there(bucket: Bucket, spec: Spec, written: WrittenObject) -> bool:
    try:
        found = bucket.head(layout.result_key(spec, written.format, written.channel))
    except WorkerError as error:
        if error.reason in _NO_RESULT:
            return False
        raise
    return (found.size, found.etag) == (written.size, written.etag)


def try_destination(bucket: Bucket, spec: Spec) -> None:
    """Writes, checks and deletes an object of no bytes.

    Raises:
        WorkerError: DestinationDenied, NoSuchBucket and so on, before GPU time is spent.
    """
    key = layout.report_key(spec) + TRIAL_SUFFIX
    bucket.write(key, b"", "application/octet-stream")
    try:
        bucket.delete(key)
    except WorkerError as error:
        if error.reason is not reasons.DESTINATION_DENIED:
            raise
        log.warning("may not delete: the empty object %r stays", key)


def write_formats(bucket: Bucket, spec: Spec, tracks: Sequence[Transcribed]) -> tuple[WrittenObject, ...]:
    """Every format asked for of every track, json last; each as a HEAD sees it afterwards, by track in the spec's order."""
    from transcription_worker.engines.formats.writers import FORMATS, render_format

    written = {}
    for fmt in sorted(set(spec.formats), key=lambda fmt: (fmt is Format.JSON, fmt.value)):
        for track in tracks:
            body = render_format(track.transcript, fmt, spec.subtitles)
            found = bucket.write(layout.result_key(spec, fmt, track.channel), body, FORMATS[fmt].content_type)
            written[track.channel, fmt] = WrittenObject(fmt, found.size, found.etag, track.channel)
    return tuple(written[track.channel, fmt] for track in tracks for fmt in dict.fromkeys(spec.formats))


def commit(bucket: Bucket, spec: Spec, committed: Committed) -> None:
    """The report, last of all: its presence says that the result is whole."""
    bucket.write(layout.report_key(spec), document(committed), REPORT_CONTENT_TYPE)
