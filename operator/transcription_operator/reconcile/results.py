"""The results of a worker's report: which objects were asked for, and which ones the report confirms."""

from transcription_api import layout
from transcription_api.report import Report
from transcription_api.spec import Channel, Spec
from transcription_api.status import MAX_RESULTS, ResultObject


def missing_results(spec: Spec, report: Report | None) -> list[str]:
    """The requested results that the report does not confirm, such as `json` or `json of channel 1`."""
    confirmed = {(written.format, written.channel) for written in report.objects} if report is not None else set()
    if spec.audio.channel is not Channel.SPLIT:
        return [fmt.value for fmt in spec.formats if (fmt, None) not in confirmed]
    if report is None or not report.channels:
        return ["the number of channels"]
    wanted = [(fmt, channel) for channel in range(report.channels) for fmt in spec.formats]
    return [f"{fmt.value} of channel {channel}" for fmt, channel in wanted if (fmt, channel) not in confirmed]


def result_objects(spec: Spec, report: Report) -> tuple[ResultObject, ...]:
    """The report's objects as status.results lists them, at most MAX_RESULTS."""
    return tuple(
        ResultObject(
            item.format.value, layout.result_key(spec, item.format, item.channel), item.size, item.etag, item.channel
        )
        for item in report.objects[:MAX_RESULTS]
    )
