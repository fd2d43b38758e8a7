"""What one reconcile observed of a resource: plain values that controller/observe.py fills in and decide.py reads."""

from dataclasses import dataclass

from transcription_api.reasons import Reason
from transcription_api.report import Progress
from transcription_api.status import Status

from transcription_operator.models.nodes import NodeView
from transcription_operator.models.objects import JobView, PodView, Resource


@dataclass(frozen=True)
class ObservedProgress:
    """A worker's answer to GET /progress, and when it arrived (RFC 3339, UTC)."""

    progress: Progress
    observed_time: str


@dataclass(frozen=True)
class JobRejection:
    """The apiserver refused to create or change the Job, or another owner has its name.

    A permanent reason fails the resource; after any other one the operator tries again.
    """

    reason: Reason
    message: str
    invalid_fields: tuple[tuple[str, str], ...] = ()  # fields of the Job that Kubernetes finds invalid, with its words


@dataclass(frozen=True)
class ObservedState:
    """A resource, its stored status, and the Job and pods that belong to it.

    `job` is the newest Job, of the current phase where the work has phases. None means that the apiserver was asked and has
    none, not merely that no watch has shown one.
    """

    resource: Resource
    status: Status  # parsed from resource.status_json
    job: JobView | None = None
    jobs: tuple[JobView, ...] = ()  # all Jobs of the resource that the cache holds, by ordinal
    deletion_job: JobView | None = None  # the one that is to delete the results
    deletion_pods: tuple[PodView, ...] = ()  # its pods, once it has failed
    pods: tuple[PodView, ...] = ()  # the newest Job's, oldest first
    pod_refusal: str | None = None  # the words of the apiserver, which refuses the newest Job's pods
    namespace_ending: bool = False  # the namespace is being deleted, which the newest Job's pods hold up
    queue_reason: str | None = None  # the words of the queue, which has not admitted the newest Job
    progress: ObservedProgress | None = None
    pod_progress: tuple[ObservedProgress, ...] = ()  # of running pods, of a Job that has many
    silent_since: str | None = None  # since when the running worker has not answered polls, if that is long ago
    rejection: JobRejection | None = None
    # The nodes that GPU feature discovery has labelled, where they matter and the operator may list them.
    nodes: tuple[NodeView, ...] | None = None
    no_node: str | None = None  # which labels of these nodes keep the newest Job's pods from running
