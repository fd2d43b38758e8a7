"""Read what a decision needs: the store first, and the apiserver where the decision would rest on something's absence."""

import dataclasses

from transcription_operator.cluster import Cluster
from transcription_operator.controller.progress_poller import ProgressPoller
from transcription_operator.models.objects import JobView, Key, Resource
from transcription_operator.reconcile import status as fold
from transcription_operator.reconcile.plan import Observed, Refusal
from transcription_operator.reconcile.pods import running_pod
from transcription_operator.watch.store import Store


async def observe(
    key: Key, store: Store, cluster: Cluster, poller: ProgressPoller, refusal: Refusal | None = None
) -> Observed | None:
    """What is known of one resource; None: it is gone."""
    resource = store.resource(key)
    if resource is None:
        return None
    status = fold.parse_status(resource.status)
    jobs = store.jobs(resource.uid)
    seen = Observed(resource, jobs[-1] if jobs else None, jobs, refusal=refusal)
    if resource.deleting or fold.is_finished(status):
        return seen
    if status.job_ref is not None and (seen.job is None or seen.job.ordinal < status.job_ref.ordinal):
        seen = dataclasses.replace(seen, job=await _find_job(status.job_ref.name, resource, store, cluster))
    return await _with_pods(seen, cluster, poller)


async def _find_job(name: str, resource: Resource, store: Store, cluster: Cluster) -> JobView | None:
    """The Job that the status names and no watch has shown: new, or deleted from outside."""
    job = await cluster.get_job(resource.key.namespace, name)
    if job is None or job.owner_uid != resource.uid:
        return None
    store.put_job(job)
    return job


async def _with_pods(seen: Observed, cluster: Cluster, poller: ProgressPoller) -> Observed:
    job = seen.job
    if job is None or job.deleting or not job.has_pods:
        return seen
    pods = await cluster.list_pods(job)
    pod = running_pod(pods)
    progress = poller.latest(seen.resource.key, pod) if pod is not None and job.outcome is None else None
    return dataclasses.replace(seen, pods=pods, progress=progress)
