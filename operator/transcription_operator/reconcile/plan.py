"""What one reconcile decided: plain values that decide.py returns and controller/apply.py carries out."""

from dataclasses import dataclass
from typing import Any

from transcription_api.status import Status

from transcription_operator.models.objects import JobView, PodView
from transcription_operator.reconcile.events import Event


@dataclass(frozen=True)
class Plan:
    """The steps, in the order in which they are carried out.

    After `create_job`, `suspend_job` or `scale_job` the resource is observed again and a new plan is made.
    """

    create_job: dict[str, Any] | None = None  # a manifest
    suspend_job: tuple[JobView, bool] | None = None  # the value that the Job's spec.suspend gets
    scale_job: tuple[JobView, int] | None = None  # the value that the Job's spec.parallelism gets
    status: Status | None = None
    events: tuple[Event, ...] = ()
    delete_pods: tuple[PodView, ...] = ()  # of the newest Job, which makes the next pod
    delete_jobs: tuple[JobView, ...] = ()
    delete_resource: bool = False
    poll_pods: tuple[PodView, ...] = ()  # the pods whose progress is polled from now on
    requeue_after_seconds: float | None = None
