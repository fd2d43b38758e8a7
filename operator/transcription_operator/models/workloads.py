"""The Workload that Kueue makes of a Job, reduced to why the queue has not admitted the Job."""

from transcription_operator.models.objects import Body
from transcription_operator.models.pods import find_condition

# The version that Kueue serves since 0.15 (apis/kueue/v1beta2 in its source), and its label with the uid of the Job.
WORKLOADS = "/apis/kueue.x-k8s.io/v1beta2"
LABEL_JOB_UID = "kueue.x-k8s.io/job-uid"


def view_queue_reason(body: Body) -> str | None:
    """Kueue's words on why the workload is not admitted, or None if it is, or Kueue has not looked at it yet.

    A workload without a quota says so by its condition QuotaReserved, also where its queue is missing or stopped, of which
    Kueue creates no event. One that has its quota may wait for admission checks.
    """
    status = body.get("status") or {}
    for kind in ("QuotaReserved", "Admitted"):
        condition = find_condition(status, kind)
        if condition.get("status") == "False":
            return "; ".join(filter(None, (condition.get("message"), *_checks(status)))) or None
    return None


def _checks(status: Body) -> list[str]:
    """What the admission checks that are not ready say."""
    checks = status.get("admissionChecks") or ()
    return [f"{item['name']}: {item['message']}" for item in checks if item["state"] != "Ready" and item.get("message")]
