"""Read what a decision needs: from the cache, and from the apiserver if the decision depends on something not existing."""

import dataclasses

from transcription_api.status import Status

from transcription_operator.cluster import KubernetesClient
from transcription_operator.controller.job_events import JobEventReader
from transcription_operator.controller.node_reader import NodeReader
from transcription_operator.controller.progress_poller import ProgressPoller
from transcription_operator.models.objects import JobView, Key, Resource
from transcription_operator.reconcile.namespace_deletion import are_held_back
from transcription_operator.reconcile.observed_state import JobRejection, ObservedState
from transcription_operator.reconcile.phases import current_job, expects_job
from transcription_operator.reconcile.pod_refusals import pod_refusal
from transcription_operator.reconcile.pods import running_pod, running_pods
from transcription_operator.reconcile.status_transitions import is_finished
from transcription_operator.reconcile.stored_status import parse_status
from transcription_operator.reconcile.suspension import waits_for_others
from transcription_operator.watch.informer_cache import InformerCache


@dataclasses.dataclass(frozen=True)
class Observer:
    """Observes resources for the reconciler."""

    client: KubernetesClient
    cache: InformerCache
    poller: ProgressPoller
    job_events: JobEventReader
    nodes: NodeReader

    async def observe(
        self, key: Key, earlier: ObservedState | None = None, rejection: JobRejection | None = None
    ) -> ObservedState | None:
        """Observe one resource, or return None if it no longer exists.

        `earlier` is what the same reconcile observed before: an unchanged status is taken from it and not parsed again.
        """
        resource = self.cache.resource(key)
        if resource is None:
            return None
        status = _status_of(resource, earlier)
        owned = self.cache.jobs(resource)
        deletion = next((job for job in owned if job.deletes_results), None)
        jobs = _plausible(tuple(job for job in owned if job is not deletion), status)
        job = current_job(resource, status, jobs)
        observed = ObservedState(resource, status, job, jobs, deletion, rejection=rejection)
        if resource.deleting or is_finished(status):
            return await self._with_deletion_pods(observed)
        if observed.job is not None and observed.job.deleting and await self._is_gone(observed.job):
            return await self.observe(key, earlier, rejection)
        named = status.job_ref if expects_job(resource, status) else None
        if named is not None and (observed.job is None or observed.job.ordinal < named.ordinal):
            observed = dataclasses.replace(observed, job=await self._get_job(named.name, resource))
        if observed.job is None and status.job_ref is not None:
            # The next Job, of the next phase too, must follow what is stored and not what is cached.
            return await self._without_job(observed)
        return await self._with_pods(observed)

    async def _with_deletion_pods(self, observed: ObservedState) -> ObservedState:
        job = observed.deletion_job
        if job is None or job.outcome != "Failed":
            return observed
        return dataclasses.replace(observed, deletion_pods=await self.client.list_pods(job))

    async def _is_gone(self, job: JobView) -> bool:
        """Whether a Job that is being deleted no longer exists, in case that no watch has shown its end."""
        found = await self.client.get_job(job.namespace, job.name)
        if found is not None and found.uid == job.uid:
            return False
        self.cache.remove_job(job)
        return True

    async def _get_job(self, name: str, resource: Resource) -> JobView | None:
        """Read the Job that the status names and no watch has shown: it is new, or somebody has deleted it."""
        job = await self.client.get_job(resource.key.namespace, name)
        if job is None or job.owner != resource.owner:
            return None
        self.cache.put_job(job)
        return job

    async def _without_job(self, observed: ObservedState) -> ObservedState | None:
        """Read the resource: its own deletion or end may be why its Job is gone, and be shown later than the Job's."""
        resource = observed.resource
        current = await self.client.get_resource(resource.key)
        if current is None or current.uid != resource.uid:
            self.cache.remove_resource(resource)
            return None
        if current.version == resource.version:
            return await self._with_nodes(observed)
        self.cache.put_resource(current, resource)
        return await self.observe(resource.key)

    async def _with_pods(self, observed: ObservedState) -> ObservedState:
        job = observed.job
        if job is None:
            return await self._with_nodes(observed)
        if job.deleting and job.outcome is None:
            return observed  # of one that has ended, such as by a ttlSecondsAfterFinished, the pods may still say how
        queued = waits_for_others(job)
        if not job.awaits_pod and not queued:
            self.job_events.forget(job)
        if queued:
            observed = dataclasses.replace(observed, queue_reason=await self.job_events.read_queue(job))
        # A Job counts no pod that was disrupted; but where a worker once ran, such a pod may be left.
        may_have_pods = job.has_pods or observed.status.start_time is not None
        if job.has_shards and job.outcome == "Complete":
            may_have_pods = False  # what they wrote is looked for in S3
        pods = await self.client.list_pods(job) if may_have_pods else ()
        refusal = pod_refusal(job, pods, await self.job_events.read(job)) if job.awaits_pod else None
        observed = dataclasses.replace(observed, pods=pods, pod_refusal=refusal)
        if are_held_back(job, pods):
            ending = await self.client.is_namespace_ending(job.namespace)
            observed = dataclasses.replace(observed, namespace_ending=ending)
        if any(pod.unschedulable is not None for pod in pods):
            observed = await self._with_nodes(observed)
        return observed if job.outcome is not None else self._with_progress(observed)

    async def _with_nodes(self, observed: ObservedState) -> ObservedState:
        """Add the nodes, by which the next Job's image is chosen, and by which a pod's wait for one is explained."""
        return dataclasses.replace(observed, nodes=await self.nodes.read())

    def _with_progress(self, observed: ObservedState) -> ObservedState:
        key, pods = observed.resource.key, observed.pods
        if observed.job is not None and observed.job.has_shards:
            return dataclasses.replace(observed, pod_progress=self.poller.latest_of(key, running_pods(pods)))
        pod = running_pod(pods)
        if pod is None:
            return observed
        silent_since = self.poller.silent_since(key, pod)
        return dataclasses.replace(observed, progress=self.poller.latest(key, pod), silent_since=silent_since)


def _plausible(jobs: tuple[JobView, ...], status: Status) -> tuple[JobView, ...]:
    """The Jobs that the operator can have created: each time one more than the last that the status names."""
    if status.job_ref is None:
        return jobs
    return tuple(job for job in jobs if job.ordinal <= status.job_ref.ordinal + 1)


def _status_of(resource: Resource, earlier: ObservedState | None) -> Status:
    if earlier is not None and earlier.resource.status_json == resource.status_json:
        return earlier.status
    return parse_status(resource.status_json)
