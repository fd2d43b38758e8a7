"""How long a pod has been awaited, which is what spec.pendingDeadlineSeconds limits.

Only time in which a pod of the Job could start counts: not the time in a queue, suspended, or while an earlier pod runs, is
being deleted, or has failed so recently that the Job controller does not make the next one yet.
"""

from datetime import datetime, timedelta

from transcription_api import reasons
from transcription_api.spec import Spec
from transcription_api.status import ConditionType, Failure

from transcription_operator.models.objects import JobView
from transcription_operator.models.times import earliest, format_time, is_time, latest, parse_time, seconds_between
from transcription_operator.reconcile.conditions import find_condition
from transcription_operator.reconcile.observed_state import ObservedState
from transcription_operator.reconcile.pods import current_pod, explain_waiting, last_termination
from transcription_operator.reconcile.termination import make_failure

# Seconds that the Job controller waits after a pod has failed: the first, doubled with each further failure, up to the
# longest (DefaultJobPodFailureBackOff and MaxJobPodFailureBackOff in its source).
FIRST_BACK_OFF_SECONDS = 10
LONGEST_BACK_OFF_SECONDS = 600


def awaited_since(observed: ObservedState, job: JobView, now: datetime) -> str | None:
    """The time since which a pod of the Job should have started. None while no pod is awaited."""
    if job.outcome is not None or job.concluding or job.suspended or job.resuming or job.started is None:
        return None
    pod = current_pod(observed.pods)
    if pod is not None:
        waits = not pod.running and pod.deletion_time is None
        return latest(job.started, pod.created) if waits else None
    if job.terminating or any(pod.outlived for pod in observed.pods):
        return None
    return _since_last_pod(observed, job, job.started, now)


def _since_last_pod(observed: ObservedState, job: JobView, started: str, now: datetime) -> str | None:
    """The time since which the Job has had no pod: since its start, or the end of its last pod and the back-off after it."""
    termination = last_termination(observed.pods)
    if termination is not None and (termination.failure is None or termination.permanent):
        return None  # the Job is about to become Complete or Failed
    running = find_condition(observed.status.conditions, ConditionType.RUNNING)
    times, at = [started], format_time(now)
    if running is not None and is_time(running.last_transition_time):
        # The end of a pod that is gone already: the time at which the status stopped to show it as running, or just now.
        times.append(earliest(running.last_transition_time, at) if running.status == "False" else at)
    if termination is not None and termination.finished is not None:
        times.append(termination.finished)
    return format_time(
        parse_time(latest(*times)) + timedelta(seconds=_back_off_seconds(job.failed + _disrupted(observed)))
    )


def _disrupted(observed: ObservedState) -> int:
    """The disrupted pods, after which the Job controller waits as it does after failed ones."""
    return observed.status.disruptions.disrupted if observed.status.disruptions is not None else 0


def _back_off_seconds(failed: int) -> int:
    return min(FIRST_BACK_OFF_SECONDS * 2 ** (failed - 1), LONGEST_BACK_OFF_SECONDS) if failed else 0


def pending_deadline_failure(observed: ObservedState, spec: Spec, job: JobView, now: datetime) -> Failure | None:
    """The failure of a Job whose pod has been awaited for longer than spec.pendingDeadlineSeconds, else None."""
    since = awaited_since(observed, job, now)
    limit = spec.pending_deadline_seconds
    if since is None or limit is None or seconds_between(since, now) < limit:
        return None
    message = f"no worker started within {limit} s: {_why(observed, job)}"
    return make_failure(reasons.PENDING_DEADLINE_EXCEEDED, message)


def _why(observed: ObservedState, job: JobView) -> str:
    pod = current_pod(observed.pods)
    if pod is None:
        return observed.pod_refusal or "the Job has no pod"
    if observed.no_node is not None and pod.unschedulable is not None:
        return explain_waiting(job, observed.pods, observed.no_node).message
    return pod.unschedulable or pod.waiting_message or explain_waiting(job, observed.pods).message
