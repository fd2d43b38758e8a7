"""Carry out a plan: ensure the Job, write the status once, tell of it, then delete what must go."""

import logging

from transcription_api import reasons
from transcription_api.codec import to_json

from transcription_operator.cluster import ApiError, Cluster
from transcription_operator.cluster.connection import Json
from transcription_operator.controller.event_recorder import Recorder
from transcription_operator.models.objects import JobView, Resource
from transcription_operator.reconcile.plan import Plan, Refusal
from transcription_operator.watch.store import Store

logger = logging.getLogger(__name__)


async def ensure_job(manifest: Json, resource: Resource, cluster: Cluster, store: Store) -> Refusal | None:
    """The Job exists and is ours, or the reason why not.

    Raises:
        ApiError: the apiserver's trouble, not the Job's.
    """
    meta = manifest["metadata"]
    try:
        job = await cluster.create_job(manifest)
    except ApiError as error:
        if error.conflict and error.reason == "AlreadyExists":
            return await _adopt(meta["namespace"], meta["name"], resource, cluster, store)
        return _refusal(error)
    logger.info("created Job %s", job.name)
    store.put_job(job)
    return None


async def _adopt(namespace: str, name: str, resource: Resource, cluster: Cluster, store: Store) -> Refusal | None:
    """Ours if its controller is the resource itself, made before a crash or seen by no watch yet."""
    job = await cluster.get_job(namespace, name)
    if job is None:
        return Refusal(reasons.JOB_NOT_CREATED, f"Job {name} vanished while it was looked at")
    if job.owner_uid != resource.uid:
        return Refusal(reasons.JOB_NAME_TAKEN, f"Job {name} exists and its owner is not this resource")
    logger.info("adopted Job %s", name)
    store.put_job(job)
    return None


def _refusal(error: ApiError) -> Refusal:
    """Invalid for good; forbidden for now (a quota, a namespace that goes)."""
    if error.status == 422:
        return Refusal(reasons.INVALID_SPEC, error.message)
    if error.status == 403:
        return Refusal(reasons.JOB_NOT_CREATED, error.message)
    raise error


async def ensure_suspension(job: JobView, suspend: bool, cluster: Cluster, store: Store) -> None:
    try:
        store.put_job(await cluster.suspend_job(job, suspend))
    except ApiError as error:
        if not error.not_found:
            raise
        store.drop_job(job)


async def ensure_written(resource: Resource, plan: Plan, cluster: Cluster, store: Store, recorder: Recorder) -> None:
    """Status, events, deletions. A crash between them is made good by the next reconcile, but for a lost event."""
    if plan.status is not None:
        written = await cluster.write_status(resource, to_json(plan.status))
        store.put_resource(written)
        for note in plan.events:
            recorder.record(written, note)
    for job in plan.delete_jobs:
        if await cluster.delete_job(job):
            logger.info("deleted Job %s", job.name)
        else:
            store.drop_job(job)
    if plan.delete_resource:
        await cluster.delete_resource(resource)
        logger.info("deleted after ttlSecondsAfterFinished")
