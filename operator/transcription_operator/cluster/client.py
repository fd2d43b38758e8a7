"""Requests for TranscriptionJobs, Jobs, pods and events. Each method sends one request; a list sends one for each page.

Every method raises ApiError, UnreachableError and, if it writes, NotLeadingError; see `Connection.request`.
"""

from collections.abc import AsyncIterator
from datetime import datetime
from typing import Any

from transcription_api import names

from transcription_operator.cluster.connection import (
    JSON,
    MERGE_PATCH,
    METADATA_LIST,
    ApiError,
    Connection,
    Json,
    UnreachableError,
)
from transcription_operator.models.job_events import PENDING, WORKLOAD_PREFIX, JobEvent, view_job_event
from transcription_operator.models.nodes import GPU_NODES, NodeView, view_node
from transcription_operator.models.objects import (
    JobView,
    Key,
    Owner,
    PodView,
    Resource,
    view_job,
    view_pod,
    view_resource,
)
from transcription_operator.models.ownership import is_pod_of
from transcription_operator.models.workloads import LABEL_JOB_UID, WORKLOADS, view_queue_reason

RESOURCES = f"/apis/{names.GROUP}/{names.VERSION}"
JOBS = "/apis/batch/v1"
CORE = "/api/v1"
# Objects in one page of a list. A TranscriptionJob may name 128 KiB of keys, and so does the Job that plans; of each page the
# text and what is read of it are in memory. With 500 the operator took 345 MiB for 300 such resources, with 50 it took 200.
PAGE_SIZE = 50
# Events of one Job that are read. The Job controller may create 25 at once, then one every 5 minutes (client-go's defaults).
EVENTS_LIMIT = 100
# Events of a namespace's workloads that are read, of which those of one are looked for.
QUEUE_EVENTS_LIMIT = 500


class KubernetesClient:
    """Reads and writes the objects that the operator works with."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection

    def now(self) -> datetime:
        """The apiserver's time; see `ServerClock`."""
        return self._connection.clock.now()

    async def get_resource(self, key: Key) -> Resource | None:
        """The TranscriptionJob, or None if it does not exist."""
        body = await self._request_or_none("GET", _resource_path(key))
        return None if body is None else view_resource(body)

    async def get_job(self, namespace: str, name: str) -> JobView | None:
        """The Job, or None if it does not exist."""
        body = await self._request_or_none("GET", _job_path(namespace, name))
        return None if body is None else view_job(body)

    async def serves_resources(self) -> bool:
        """Whether the apiserver knows TranscriptionJobs, so that their CRD is established. Needs no rights on them."""
        body = await self._request_or_none("GET", RESOURCES)
        return body is not None and any(item.get("name") == names.PLURAL for item in body.get("resources") or ())

    def list_resources(self, namespace: str | None) -> AsyncIterator[list[Resource]]:
        """All TranscriptionJobs of a namespace, or of the cluster if it is None, in pages."""
        return _view_pages(self._pages(_collection(RESOURCES, namespace, names.PLURAL), {}), view_resource)

    def list_jobs(self, namespace: str | None) -> AsyncIterator[list[JobView]]:
        """The Jobs that the operator created, in the same form as `list_resources`."""
        return _view_pages(
            self._pages(_collection(JOBS, namespace, "jobs"), {"labelSelector": names.LABEL_UID}), view_job
        )

    async def list_pods(self, job: JobView) -> tuple[PodView, ...]:
        """The pods of a Job, oldest first. A pod that only has the Job's labels is none.

        Of many shards, pods that succeeded are left out: there may be a thousand, and S3 has what they wrote.
        """
        query = {"labelSelector": f"batch.kubernetes.io/controller-uid={job.uid}"}
        if job.has_shards:
            query["fieldSelector"] = "status.phase!=Succeeded"
        pages = self._pages(_collection(CORE, job.namespace, "pods"), query)
        items = [item async for page in pages for item in page["items"]]
        pods = [view_pod(item) for item in items if is_pod_of(item["metadata"], job.namespace, job.name, job.uid)]
        return tuple(sorted(pods, key=lambda pod: (pod.created, pod.started or "~", pod.name)))

    async def list_gpu_nodes(self) -> tuple[NodeView, ...]:
        """The nodes that GPU feature discovery has labelled: their metadata alone, which is a small part of a node.

        That does not tell which of them are cordoned, so that those are listed once more.
        """
        nodes, cordoned = await self._gpu_nodes({}), await self._gpu_nodes({"fieldSelector": "spec.unschedulable=true"})
        names_of_cordoned = {node.name for node in cordoned}
        return tuple(node._replace(cordoned=node.name in names_of_cordoned) for node in nodes)

    async def _gpu_nodes(self, query: dict[str, str]) -> list[NodeView]:
        pages = self._pages(f"{CORE}/nodes", {"labelSelector": GPU_NODES} | query, METADATA_LIST)
        return [view_node(item) async for page in pages for item in page["items"]]

    async def has_workers(self, owner: Owner) -> bool:
        """Whether a pod of the resource's work has not ended, whose resource and Jobs may be gone. Forged labels count too."""
        query = {
            "labelSelector": f"{names.LABEL_UID}={owner.uid},{names.LABEL_PHASE}!={names.PHASE_DELETE}",
            "fieldSelector": "status.phase!=Succeeded,status.phase!=Failed",
            "limit": "1",
        }
        path = _collection(CORE, owner.key.namespace, "pods")
        return bool(await self._items(path, query))

    async def list_job_events(self, job: JobView) -> tuple[JobEvent, ...]:
        """The events whose subject is the Job, at most EVENTS_LIMIT: its controller makes fewer in an hour, their lifetime."""
        query = {"fieldSelector": f"involvedObject.uid={job.uid}", "limit": str(EVENTS_LIMIT)}
        items = await self._items(_collection(CORE, job.namespace, "events"), query)
        return tuple(view_job_event(item) for item in items)

    async def queue_reason(self, job: JobView) -> str | None:
        """Kueue's words on why it has not admitted the Job, from the workload that it makes of it."""
        query = {"labelSelector": f"{LABEL_JOB_UID}={job.uid}", "limit": str(PAGE_SIZE)}
        items = await self._items(_collection(WORKLOADS, job.namespace, "workloads"), query)
        return next((words for item in items if (words := view_queue_reason(item))), None)

    async def list_queue_events(self, job: JobView) -> tuple[JobEvent, ...]:
        """The events by which Kueue tells why it has not admitted the Job's workload: its name begins with the Job's."""
        query = {"fieldSelector": f"involvedObject.kind=Workload,reason={PENDING}", "limit": str(QUEUE_EVENTS_LIMIT)}
        items = await self._items(_collection(CORE, job.namespace, "events"), query)
        start = f"{WORKLOAD_PREFIX}{job.name}-"
        found = (item for item in items if item["involvedObject"].get("name", "").startswith(start))
        return tuple(view_job_event(item) for item in found)

    async def create_job(self, manifest: Json) -> JobView:
        """Create a Job. Raises ApiError with status 409 if the name is taken."""
        path = _collection(JOBS, manifest["metadata"]["namespace"], "jobs")
        return view_job(await self._connection.request("POST", path, manifest))

    async def is_namespace_ending(self, namespace: str) -> bool:
        """Whether the apiserver creates no more objects in the namespace, because it is being deleted.

        It refuses this Job elsewhere too, since it has no container, and stores none anywhere. Reading the namespace itself
        would take a right on the whole cluster.
        """
        job = {"apiVersion": "batch/v1", "kind": "Job", "metadata": {"generateName": "none-"}, "spec": {"template": {}}}
        try:
            await self._connection.request("POST", _collection(JOBS, namespace, "jobs"), job, query={"dryRun": "All"})
        except ApiError as error:
            return error.namespace_ending
        return False

    async def suspend_job(self, job: JobView, suspend: bool) -> JobView:
        """Set spec.suspend, with the mark of who suspends, and nothing else: a queue may have changed other fields."""
        mark = {names.ANNOTATION_SUSPENDED: "true" if suspend else None}
        body = {"metadata": {"uid": job.uid, "annotations": mark}, "spec": {"suspend": suspend}}
        path = _job_path(job.namespace, job.name)
        return view_job(await self._connection.request("PATCH", path, body, content_type=MERGE_PATCH))

    async def scale_job(self, job: JobView, parallelism: int) -> JobView:
        """Set spec.parallelism, with the annotation that says that it is ours, and nothing else."""
        given = {names.ANNOTATION_PARALLELISM: str(parallelism)}
        body = {"metadata": {"uid": job.uid, "annotations": given}, "spec": {"parallelism": parallelism}}
        path = _job_path(job.namespace, job.name)
        return view_job(await self._connection.request("PATCH", path, body, content_type=MERGE_PATCH))

    async def delete_job(self, job: JobView) -> bool:
        """Delete a Job; the garbage collector deletes its pods.

        Returns False if the Job no longer exists, even if another one has its name by now.
        """
        options = _delete_options({"uid": job.uid})
        try:
            return await self._request_or_none("DELETE", _job_path(job.namespace, job.name), options) is not None
        except ApiError as error:
            if error.conflict:
                return False
            raise

    async def delete_pod(self, namespace: str, pod: PodView) -> None:
        """Delete a pod, unless it no longer exists or another one has its name by now."""
        path = f"{_collection(CORE, namespace, 'pods')}/{pod.name}"
        try:
            await self._request_or_none("DELETE", path, {"preconditions": {"uid": pod.uid}})
        except ApiError as error:
            if not error.conflict:
                raise

    async def write_status(self, resource: Resource, status: Json) -> Resource:
        """Replace the whole status and return the resource as stored.

        Raises:
            ApiError: 409 if the resource has changed since it was read, so that a stale status never overwrites a newer one.
        """
        body = {
            "apiVersion": names.API_VERSION,
            "kind": names.KIND,
            "metadata": {
                "namespace": resource.key.namespace,
                "name": resource.key.name,
                "uid": resource.uid,
                "resourceVersion": str(resource.version),
            },
            "status": status,
        }
        return view_resource(await self._connection.request("PUT", _resource_path(resource.key) + "/status", body))

    async def delete_resource(self, resource: Resource) -> None:
        """Delete the resource, unless it has changed since it was read or another one has its name by now."""
        conditions = {"uid": resource.uid, "resourceVersion": str(resource.version)}
        await self._request_or_none("DELETE", _resource_path(resource.key), _delete_options(conditions))

    async def create_event(self, event: Json) -> None:
        """Create an event. One that exists is the same event, since the name is derived from the content."""
        path = _collection(CORE, event["metadata"]["namespace"], "events")
        try:
            await self._connection.request("POST", path, event)
        except ApiError as error:
            if not error.conflict:
                raise

    async def _request_or_none(self, method: str, path: str, body: Json | None = None) -> Json | None:
        try:
            return await self._connection.request(method, path, body)
        except ApiError as error:
            if error.not_found:
                return None
            raise

    async def _pages(self, path: str, query: dict[str, str], accept: str = JSON) -> AsyncIterator[Json]:
        """The pages of a list. If the list expires it is sent again as one page, so that objects may come twice."""
        token = ""
        while True:
            page = query | {"limit": str(PAGE_SIZE)} | ({"continue": token} if token else {})
            try:
                body = await self._list(path, page, accept)
            except ApiError as error:
                if not (token and error.expired):
                    raise
                body = await self._list(path, query, accept)
            yield body
            token = body.get("metadata", {}).get("continue") or ""
            if not token:
                return

    async def _items(self, path: str, query: dict[str, str]) -> list[Json]:
        """The objects of a list of one page."""
        items: list[Json] = (await self._list(path, query))["items"]
        return items

    async def _list(self, path: str, query: dict[str, str], accept: str = JSON) -> Json:
        """A page of a list, with items that are a list. Raises UnreachableError for another answer."""
        body = await self._connection.request("GET", path, query=query, accept=accept)
        if body.get("items", ()) is None:  # Go writes an empty slice so, as of nodes of which none is cordoned
            body["items"] = []
        if not isinstance(body.get("items"), list):
            raise UnreachableError(f"GET {path}: got {body['kind']} without items, expected a list")
        return body


async def _view_pages(pages: AsyncIterator[Json], view: Any) -> AsyncIterator[list[Any]]:
    async for page in pages:
        yield [view(item) for item in page["items"]]


def _delete_options(preconditions: Json) -> Json:
    # Without a propagation policy the API deletes a Job and leaves its pods running.
    return {"propagationPolicy": "Background", "preconditions": preconditions}


def _collection(group: str, namespace: str | None, plural: str) -> str:
    return f"{group}/{plural}" if namespace is None else f"{group}/namespaces/{namespace}/{plural}"


def _resource_path(key: Key) -> str:
    return f"{_collection(RESOURCES, key.namespace, names.PLURAL)}/{key.name}"


def _job_path(namespace: str, name: str) -> str:
    return f"{_collection(JOBS, namespace, 'jobs')}/{name}"
