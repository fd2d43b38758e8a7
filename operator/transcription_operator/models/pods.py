"""A worker's pod, reduced to the fields that decisions need."""

from collections.abc import Callable
from dataclasses import dataclass

from transcription_api import names

from transcription_operator.models.containers import (
    Body,
    InitContainer,
    failed_sidecars,
    running_sidecars,
    unfinished_init_container,
)
from transcription_operator.models.devices import sick_devices
from transcription_operator.models.times import server_time


@dataclass(frozen=True, slots=True)
class TerminatedState:
    """state.terminated of a worker's container. `message` is the termination message, which holds the report.

    The times are by the apiserver's clock; see `models.times.server_time`.
    """

    exit_code: int
    reason: str | None
    message: str
    started: str | None
    finished: str | None


@dataclass(frozen=True, slots=True)
class PodView:
    """A worker's pod. `started` is when its container started, running or terminated, by the apiserver's clock."""

    name: str
    uid: str
    created: str
    phase: str
    ip: str | None
    started: str | None
    running: bool
    terminated: TerminatedState | None
    waiting_reason: str | None
    waiting_message: str | None
    unschedulable: str | None  # the scheduler's message
    # The ResourceClaimTemplate of which the pod has no claim yet: the scheduler does not look at it, and says nothing of it.
    missing_claim: str | None
    scheduling_gates: tuple[str, ...]  # names of what keeps the scheduler from looking at the pod
    reason: str | None  # of the pod itself, such as Evicted
    message: str | None
    disrupted: str | None  # message of the condition DisruptionTarget: preemption, drain, a lost node
    node: str | None  # spec.nodeName
    node_unready_since: str | None  # since when the node controller has found the pod's node not ready
    deletion_time: str | None  # metadata.deletionTimestamp: the time by which a pod that is being deleted has to end
    init_container: InitContainer | None  # the one that the worker's container waits for
    running_sidecars: tuple[str, ...]  # names of running containers beside the worker's
    failed_sidecars: tuple[str, ...]  # containers beside the worker's that failed: name and exit code in words
    sick_devices: str | None  # what the kubelet says of devices of the worker that are unhealthy

    @property
    def outlived(self) -> bool:
        """Whether the worker has ended and the pod has not, since another of its containers goes on."""
        return self.terminated is not None and self.phase not in ("Succeeded", "Failed")


def view_pod(body: Body) -> PodView:
    """Take what is needed of a pod. Raises KeyError if no apiserver can have stored it."""
    meta, status = body["metadata"], body.get("status") or {}
    worker = _container_status(status)
    state = worker.get("state") or {}
    terminated, waiting = state.get("terminated"), state.get("waiting") or {}
    scheduled = find_condition(status, "PodScheduled")
    disruption = find_condition(status, "DisruptionTarget")
    to_server_time = _clock_of_node(meta, status)
    return PodView(
        name=meta["name"],
        uid=meta["uid"],
        created=meta["creationTimestamp"],
        phase=status.get("phase", "Pending"),
        ip=status.get("podIP"),
        started=to_server_time((terminated or state.get("running") or {}).get("startedAt")),
        running="running" in state,
        terminated=_terminated_state(terminated, to_server_time) if terminated else None,
        waiting_reason=waiting.get("reason"),
        waiting_message=waiting.get("message"),
        unschedulable=scheduled.get("message", "") if scheduled.get("reason") == "Unschedulable" else None,
        missing_claim=_missing_claim(body.get("spec") or {}, status),
        scheduling_gates=tuple(gate["name"] for gate in (body.get("spec") or {}).get("schedulingGates") or ()),
        reason=status.get("reason"),
        message=status.get("message"),
        disrupted=disruption.get("message") or "" if disruption.get("status") == "True" else None,
        node=(body.get("spec") or {}).get("nodeName"),
        node_unready_since=_node_unready_since(status),
        deletion_time=meta.get("deletionTimestamp"),
        init_container=unfinished_init_container(body),
        running_sidecars=running_sidecars(body),
        failed_sidecars=failed_sidecars(body),
        sick_devices=sick_devices(worker),
    )


def _missing_claim(spec: Body, status: Body) -> str | None:
    made = {claim.get("name") for claim in status.get("resourceClaimStatuses") or () if claim.get("resourceClaimName")}
    asked = ((claim.get("name"), claim.get("resourceClaimTemplateName")) for claim in spec.get("resourceClaims") or ())
    return next((template for name, template in asked if template and name not in made), None)


def _clock_of_node(meta: Body, status: Body) -> Callable[[str | None], str | None]:
    """Return a function that brings the times of the pod's node to the apiserver's clock."""
    scheduled = find_condition(status, "PodScheduled")
    bound = scheduled.get("lastTransitionTime") if scheduled.get("status") == "True" else None
    return lambda time: server_time(time, meta["creationTimestamp"], bound, status.get("startTime"))


def _terminated_state(state: Body, to_server_time: Callable[[str | None], str | None]) -> TerminatedState:
    return TerminatedState(
        exit_code=state.get("exitCode", 0),
        reason=state.get("reason"),
        message=state.get("message") or "",
        started=to_server_time(state.get("startedAt")),
        finished=to_server_time(state.get("finishedAt")),
    )


def _node_unready_since(status: Body) -> str | None:
    """The time at which the node controller wrote Ready=False: the kubelet writes ContainersReady with it, save for a gate."""
    ready = find_condition(status, "Ready")
    contradicts = ready.get("status") == "False" and find_condition(status, "ContainersReady").get("status") == "True"
    return ready.get("lastTransitionTime") if contradicts and ready.get("reason") != "ReadinessGatesNotReady" else None


def _container_status(status: Body) -> Body:
    containers = status.get("containerStatuses") or ()
    return next((item for item in containers if item.get("name") == names.CONTAINER_NAME), {})


def find_condition(status: Body, kind: str) -> Body:
    """The condition of this type in the status of a Job or pod, or an empty one."""
    return next((item for item in status.get("conditions") or () if item.get("type") == kind), {})
