"""The report that lies in the destination already, and whose results it stands for."""

import logging
from collections.abc import Iterable
from dataclasses import dataclass, replace
from typing import Any

from transcription_api import layout, reasons
from transcription_api.bounds import read_leniently
from transcription_api.report import read_report as read_worker_report
from transcription_api.spec import Format, S3Object, Spec
from transcription_api.untrusted_json import parse_untrusted_json

from transcription_worker.errors import WorkerError
from transcription_worker.pipeline.channel_names import reports_sharing_names
from transcription_worker.pipeline.report import CommittedReport, SourceObject
from transcription_worker.storage.bucket import SMALL, Bucket
from transcription_worker.storage.s3_errors import shown_endpoint

log = logging.getLogger(__name__)

# Results that cannot be read count as missing: they are written anew, and if that is forbidden the trial says so.
UNREADABLE = (reasons.NO_SUCH_KEY, reasons.DESTINATION_DENIED)


@dataclass(frozen=True)
class FoundReport:
    """The object at the report's key.

    `etag` is None if the server names none, and `committed` if the object is no report of this version. The other fields are
    read from any version's report, and are None where the object does not say.
    """

    etag: str | None
    committed: CommittedReport | None
    fingerprint: str | None = None
    source: SourceObject | None = None
    source_etag: str | None = None

    def belongs_to(self, spec: Spec, source_etag: str) -> bool:
        """Whether the results are those of the spec's source, whatever the options were that they were made with.

        A report that does not name its source belongs to it if the task or the audio's content is the same.
        """
        if self.source is not None:
            return _identity(self.source) == _identity(source_object(spec.source.s3.object()))
        return layout.fingerprint(spec) == self.fingerprint or source_etag == self.source_etag


def source_object(location: S3Object) -> SourceObject:
    """Return how a report names an object."""
    return SourceObject(location.bucket, location.key, location.endpoint_url)


def _identity(source: SourceObject) -> tuple[str, str, str]:
    return ((source.endpoint_url or "").rstrip("/"), source.bucket, source.key)


def read_report(bucket: Bucket, spec: Spec) -> FoundReport | None:
    """Read what lies at the key of the spec's report; None if there is nothing that can be read.

    Raises:
        WorkerError: EndpointUnreachable and so on.
    """
    return _read(bucket, layout.report_key(spec))


def _read(bucket: Bucket, key: str) -> FoundReport | None:
    try:
        body, etag = bucket.read(key)
    except WorkerError as error:
        if error.reason in UNREADABLE:
            return None
        raise
    return parse_found(body, etag)


def parse_found(body: bytes, etag: str | None) -> FoundReport:
    """Read what lies at a report's key, which anybody who may write to the bucket has written."""
    try:
        value = parse_untrusted_json(body, SMALL)
    except ValueError:
        value = None
    if not isinstance(value, dict):
        log.info("the object at the report's key is no report")
        return FoundReport(etag, None)
    report = value.get("report")
    source_etag = _text(report.get("sourceEtag")) if isinstance(report, dict) else None
    source = read_leniently(SourceObject, value.get("source"))
    return FoundReport(etag, _parse_committed(value), _text(value.get("fingerprint")), source, source_etag)


def _text(value: object) -> str | None:
    return value if isinstance(value, str) else None


def _parse_committed(value: dict[str, Any]) -> CommittedReport | None:
    committed, report = read_leniently(CommittedReport, value), read_worker_report(value.get("report"))
    if committed is None or report is None:
        log.info("the report found cannot be read by this version")
        return None
    return replace(committed, report=report)


def require_free(found: FoundReport | None, spec: Spec, source_etag: str) -> None:
    """Make sure that the results of no other source would be overwritten, unless the spec allows it.

    Raises:
        WorkerError: DestinationTaken, which names both sources and the key.
    """
    if found is None or spec.destination.overwrite or found.belongs_to(spec, source_etag):
        return
    raise _taken(layout.report_key(spec), found, spec, "holds the results of")


def _taken(key: str, found: FoundReport, spec: Spec, words: str) -> WorkerError:
    holder = "an object that names no source" if found.source is None else _shown(found.source, spec)
    mine = _shown(source_object(spec.source.s3.object()), spec)
    message = f"spec.destination.s3: {key!r} in bucket {spec.destination.s3.bucket!r} {words} {holder}; "
    return WorkerError(reasons.DESTINATION_TAKEN, f"{message}the source here is {mine}")


def require_no_report_among_results(bucket: Bucket, spec: Spec) -> None:
    """Make sure that no result takes the place of a report: the json of call.report.wav has the key of call.wav's report.

    Raises:
        WorkerError: DestinationTaken, which names the key; EndpointUnreachable and so on.
    """
    key = layout.result_key(spec, Format.JSON)
    if Format.JSON not in spec.formats or spec.destination.overwrite or not key.endswith(layout.REPORT_SUFFIX):
        return
    found = _read(bucket, key)
    if found is not None and found.fingerprint is not None:
        message = (
            f"spec.destination.s3: {key!r} in bucket {spec.destination.s3.bucket!r} is the report of other results"
        )
        raise WorkerError(reasons.DESTINATION_TAKEN, message)


def require_no_result_of_another(bucket: Bucket, spec: Spec, channels: Iterable[int | None]) -> None:
    """Make sure that no result takes the place of another file's that has a channel's name, as call.ch0.txt may be of two.

    `channels` are those that are written; None is a file that is not split.

    Raises:
        WorkerError: DestinationTaken, which names both sources and the key; EndpointUnreachable and so on.
    """
    if spec.destination.overwrite:
        return
    for key, channel in reports_sharing_names(spec, channels):
        found = _read(bucket, key)
        if found is None or found.committed is None:
            continue
        if any(one.channel == channel and one.format in spec.formats for one in found.committed.report.objects):
            raise _taken(key, found, spec, "names results of the same names, a channel's, of")


def _shown(source: SourceObject, spec: Spec) -> str:
    """The endpoint is named where it is not the one of the spec's source."""
    words = f"{source.key!r} in bucket {source.bucket!r}"
    if source.endpoint_url == spec.source.s3.endpoint_url:
        return words
    location = S3Object(bucket=source.bucket, key=source.key, endpoint_url=source.endpoint_url)
    try:
        return f"{words} at {shown_endpoint(location)}"
    except ValueError:  # the report's endpoint is no URL
        return f"{words} at another endpoint"
