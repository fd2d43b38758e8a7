"""The results of a worker's report: which objects were asked for, and which ones the report confirms."""

from transcription_api import layout, names
from transcription_api.report import Report
from transcription_api.spec import MAX_SHARDS, Channel, Spec
from transcription_api.status import MAX_RESULTS, ResultObject


def missing_results(spec: Spec, report: Report | None, phase: str | None = None) -> list[str]:
    """What the report of a Job of this phase lacks, such as `json` or `json of channel 1`, the plan or the account."""
    if phase is not None:
        return _missing_counts(report, phase)
    confirmed = {(written.format, written.channel) for written in report.objects} if report is not None else set()
    if spec.audio.channel is not Channel.SPLIT:
        return [fmt.value for fmt in spec.formats if (fmt, None) not in confirmed]
    if report is None or not report.channels:
        return ["the number of channels"]
    wanted = [(fmt, channel) for channel in range(report.channels) for fmt in spec.formats]
    return [f"{fmt.value} of channel {channel}" for fmt, channel in wanted if (fmt, channel) not in confirmed]


def _missing_counts(report: Report | None, phase: str) -> list[str]:
    """What a plan or an account lacks to be believed: its numbers add up, and Kubernetes can run so many shards."""
    if phase == names.PHASE_PLAN:
        plan = report.plan if report is not None else None
        shards = (0, 0) if plan is None or plan.to_transcribe == 0 else (1, MAX_SHARDS)
        adds_up = plan is not None and plan.files == plan.to_transcribe + plan.reused + plan.refused
        return [] if plan is not None and adds_up and shards[0] <= plan.shards <= shards[1] else ["a plan that adds up"]
    files = report.files if report is not None else None
    adds_up = files is not None and files.total == files.done + files.reused + files.failed
    return [] if adds_up else ["an account that adds up"]


def result_objects(spec: Spec, report: Report) -> tuple[ResultObject, ...]:
    """The report's objects as status.results lists them, at most MAX_RESULTS."""
    return tuple(
        ResultObject(
            item.format.value, layout.result_key(spec, item.format, item.channel), item.size, item.etag, item.channel
        )
        for item in report.objects[:MAX_RESULTS]
    )
