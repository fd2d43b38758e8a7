"""Carry out a plan: create or suspend the Job, write the status once, record its events, then delete what must go."""

import dataclasses
import logging
from collections.abc import Coroutine
from dataclasses import dataclass
from typing import Any

from transcription_api import reasons
from transcription_api.codec import to_json
from transcription_api.status import Status

from transcription_operator.cluster import ApiError, KubernetesClient
from transcription_operator.cluster.connection import Json
from transcription_operator.controller.event_recorder import EventRecorder
from transcription_operator.controller.refusals import RefusedUpdates, explain_refusal
from transcription_operator.models.objects import JobView, Resource
from transcription_operator.reconcile.conditions import truncate_message
from transcription_operator.reconcile.events import Event, events_between
from transcription_operator.reconcile.observed_state import JobRejection, ObservedState
from transcription_operator.reconcile.plan import Plan
from transcription_operator.reconcile.rejected_status import shorter_statuses
from transcription_operator.reconcile.stored_status import render_status
from transcription_operator.watch.informer_cache import InformerCache

logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class Applier:
    """Writes to the apiserver, and puts each response into the cache before a watch shows it."""

    client: KubernetesClient
    cache: InformerCache
    recorder: EventRecorder
    refused_updates: RefusedUpdates = dataclasses.field(default_factory=RefusedUpdates)

    async def ensure_job(self, manifest: Json, resource: Resource) -> JobRejection | None:
        """Create the Job, or adopt it if it exists and belongs to the resource. Otherwise return why there is none.

        Raises:
            ApiError: an error that does not concern this Job.
        """
        try:
            job = await self.client.create_job(manifest)
        except ApiError as error:
            if error.conflict and error.reason == "AlreadyExists":
                return await self._adopt_job(manifest["metadata"]["name"], resource)
            rejection = explain_refusal(error, reasons.JOB_NOT_CREATED)
            if rejection is None:
                raise
            return rejection
        logger.info("created Job %s", job.name)
        self.cache.put_job(job)
        return None

    async def _adopt_job(self, name: str, resource: Resource) -> JobRejection | None:
        """Adopt a Job that was created before a crash, or that no watch has shown yet: its controller is the resource."""
        job = await self.client.get_job(resource.key.namespace, name)
        if job is None:
            return JobRejection(reasons.JOB_NOT_CREATED, f"Job {name} vanished while it was looked at")
        if job.owner != resource.owner:
            return JobRejection(reasons.JOB_NAME_TAKEN, f"Job {name} exists and its owner is not this resource")
        logger.info("adopted Job %s", name)
        self.cache.put_job(job)
        return None

    async def ensure_suspend(self, job: JobView, suspend: bool) -> JobRejection | None:
        """Set the Job's spec.suspend, or return why the apiserver refuses it; see `_update_job`."""
        return await self._update_job(job, "suspend", self.client.suspend_job(job, suspend))

    async def ensure_parallelism(self, job: JobView, parallelism: int) -> JobRejection | None:
        """Set the Job's spec.parallelism, or return why the apiserver refuses it; see `_update_job`."""
        return await self._update_job(job, "parallelism", self.client.scale_job(job, parallelism))

    async def _update_job(self, job: JobView, field: str, request: Coroutine[Any, Any, JobView]) -> JobRejection | None:
        """Send the request, unless the apiserver has just refused to change this field of the Job.

        A Job that no longer exists is removed from the cache.

        Raises:
            ApiError: an error that does not concern this Job.
        """
        update = f"{job.uid} {field}"
        refused = self.refused_updates.recent(update)
        if refused is not None:
            request.close()
            return refused
        try:
            self.cache.put_job(await request, job)
        except ApiError as error:
            if error.not_found:
                self.cache.remove_job(job)
                return None
            rejection = explain_refusal(error, reasons.JOB_NOT_UPDATED)
            if rejection is None:
                raise
            self.refused_updates.add(update, rejection)
            return rejection
        return None

    async def write_status(self, observed: ObservedState, plan: Plan) -> None:
        """Write the plan's status, if it has one, and record the events.

        The events come last, so that each tells of a status that is stored; a crash in between loses them.
        """
        if plan.status is None:
            return
        try:
            await self._write(observed.resource, render_status(plan.status, observed), plan.events)
        except ApiError as error:
            if not error.invalid:
                raise
            logger.warning("the status is not written whole: %s", error)
            await self._write_shorter(observed, plan.status, error)

    async def _write_shorter(self, observed: ObservedState, status: Status, error: ApiError) -> None:
        """Write the most of a refused status that the apiserver accepts. Raises ApiError if that is nothing."""
        for shorter in shorter_statuses(status, [cause.field for cause in error.causes], error.message):
            try:
                await self._write(observed.resource, to_json(shorter), events_between(observed.status, shorter))
                return
            except ApiError as last:
                if not last.invalid:
                    raise
                error = last
        raise error

    async def _write(self, resource: Resource, status: Json, events: tuple[Event, ...]) -> None:
        written = await self.client.write_status(resource, status)
        self.cache.put_resource(written, resource)
        for event in events:
            self.recorder.record(written, event)

    async def delete_objects(self, resource: Resource, plan: Plan) -> bool:
        """Delete the plan's pods and Jobs, and the resource if its time to live has passed.

        Returns False if the apiserver refuses one of them, which an event tells: its name is derived from its words, so
        that it is there once however often they are deleted in vain.

        Raises:
            ApiError: an error that does not concern one of these objects.
        """
        try:
            await self._delete_pods(resource, plan)
            await self._delete_jobs(plan.delete_jobs)
            if plan.delete_resource:
                await self.client.delete_resource(resource)
                logger.info("deleted the TranscriptionJob after ttlSecondsAfterFinished")
        except ApiError as error:
            refusal = None if error.not_found else explain_refusal(error, reasons.DELETION_REFUSED)
            if refusal is None:
                raise
            self.recorder.record(resource, Event("Warning", refusal.reason.name, truncate_message(refusal.message)))
            return False
        return True

    async def _delete_pods(self, resource: Resource, plan: Plan) -> None:
        for pod in plan.delete_pods:
            await self.client.delete_pod(resource.key.namespace, pod)
            logger.info("deleted pod %s: its worker has ended and another container of it has not", pod.name)

    async def _delete_jobs(self, jobs: tuple[JobView, ...]) -> None:
        for job in jobs:
            if await self.client.delete_job(job):
                logger.info("deleted Job %s", job.name)
            else:
                self.cache.remove_job(job)
