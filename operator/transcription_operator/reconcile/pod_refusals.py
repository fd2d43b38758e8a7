"""Why a Job gets no pod: the newest event of the Job controller, which cannot create one, or of the queue."""

import re

from transcription_operator.models.job_events import FAILED_CREATE, PENDING, SUCCESSFUL_CREATE, JobEvent
from transcription_operator.models.objects import JobView, PodView
from transcription_operator.models.times import is_time, parse_time
from transcription_operator.reconcile.pods import current_pod

# What the Job controller and its event recorder put before the apiserver's words.
_PREFIXES = ("(combined from similar events): ", "Error creating: ")

# Characters of the Job's name that its pods' names keep, whatever its length: 63 less a hyphen and 5 random characters.
NAME_KEPT = 57


def pod_refusal(job: JobView, pods: tuple[PodView, ...], events: tuple[JobEvent, ...]) -> str | None:
    """The apiserver's words, or None if the Job has a pod, awaits none, or nothing says that its pods are refused now.

    An event stays for an hour after its cause is gone. It counts only if the Job was started before it, and no pod was
    created after it. A Job that had a pod, of whose creation no event is left, is not taken for one that is refused.
    All of these times are by the Job controller's clock.
    """
    if not job.awaits_pod or current_pod(pods) is not None:
        return None
    refused = _newest(events, FAILED_CREATE)
    if refused is None or job.started is None or parse_time(refused.time) < parse_time(job.started):
        return None
    created = _newest(events, SUCCESSFUL_CREATE)
    if job.has_pods and (created is None or parse_time(created.time) >= parse_time(refused.time)):
        return None
    return _words(refused.message, job)


def queue_reason(events: tuple[JobEvent, ...]) -> str | None:
    """The queue's newest words on why it has not admitted a Job, or None if it has said nothing."""
    pending = _newest(events, PENDING)
    return pending.message if pending is not None else None


def _newest(events: tuple[JobEvent, ...], reason: str) -> JobEvent | None:
    found = [event for event in events if event.reason == reason and is_time(event.time)]
    return max(found, key=lambda event: parse_time(event.time), default=None)


def _words(message: str, job: JobView) -> str:
    """The apiserver's words without the random end of the pod's name, so that each try says the same."""
    for prefix in _PREFIXES:
        message = message.removeprefix(prefix)
    return re.sub(rf'"{re.escape(job.name[:NAME_KEPT])}[^"]*"', f'"{job.name}"', message)
