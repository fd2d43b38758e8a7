"""The events of a Job, reduced to what decisions need."""

from dataclasses import dataclass

from transcription_operator.models.objects import Body

# Reasons of the Job controller's events (pkg/controller/controller_utils.go).
FAILED_CREATE = "FailedCreate"
SUCCESSFUL_CREATE = "SuccessfulCreate"
# Kueue's reason for a workload that it has not admitted, and the start of the workload's name before that of its Job.
PENDING = "Pending"
WORKLOAD_PREFIX = "job-"


@dataclass(frozen=True, slots=True)
class JobEvent:
    """An event whose subject is a Job, or the workload that Kueue makes of it.

    `time` is when it happened last, by the clock of the controller that tells of it.
    """

    reason: str
    message: str
    time: str


def view_job_event(body: Body) -> JobEvent:
    """Take what is needed of a core/v1 Event. Raises KeyError if no apiserver can have stored it."""
    series = body.get("series") or {}
    times = (series.get("lastObservedTime"), body.get("lastTimestamp"), body.get("eventTime"))
    time = next((time for time in times if time), body["metadata"]["creationTimestamp"])
    return JobEvent(body.get("reason") or "", body.get("message") or "", time)
