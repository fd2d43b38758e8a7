"""Follow the Jobs that delete the results of resources that do not exist any more."""

import logging
from dataclasses import dataclass

from transcription_api import reasons

from transcription_operator.cluster import ApiError, KubernetesClient
from transcription_operator.controller.apply import Applier
from transcription_operator.controller.refusals import explain_refusal
from transcription_operator.models.objects import JobView, Key, Owner
from transcription_operator.reconcile.conditions import truncate_message
from transcription_operator.reconcile.deletion import after_the_resource, not_deleted
from transcription_operator.reconcile.events import Event
from transcription_operator.reconcile.plan import Plan
from transcription_operator.reconcile.requeue import MAX_REQUEUE_SECONDS
from transcription_operator.watch.informer_cache import InformerCache

logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class OrphanedDeletions:
    """Level-triggered: what the apiserver has decides, so that it does not matter who saw the resource go."""

    client: KubernetesClient
    cache: InformerCache
    applier: Applier

    async def follow(self, key: Key) -> float | None:
        """Release the Jobs of resources of this name that are gone, and tell how those have ended that were released.

        Returns the seconds until it is looked at again, or None.

        Raises:
            ApiError, UnreachableError, NotLeadingError: as in a reconcile.
        """
        again: list[float] = []
        for job in self.cache.deletion_jobs(key):
            if job.owner is None or await self._exists(job.owner):
                continue
            plan = await self._decide(job, job.owner)
            carried_out = await self._carry_out(job, plan)
            after = plan.requeue_after_seconds if carried_out else MAX_REQUEUE_SECONDS
            again += [after] if after is not None else []
        return min(again, default=None)

    async def _exists(self, owner: Owner) -> bool:
        """Whether the resource exists, by the apiserver. Where it does not know TranscriptionJobs, nobody can say."""
        known = self.cache.resource(owner.key)
        if known is not None and known.uid == owner.uid:
            return True
        found = await self.client.get_resource(owner.key)
        if found is not None:
            return found.uid == owner.uid
        return not await self.client.serves_resources()

    async def _decide(self, job: JobView, owner: Owner) -> Plan:
        others = tuple(other for other in self.cache.jobs_of(owner) if not other.deletes_results)
        writers = job.parallelism == 0 and await self.client.has_workers(owner)
        pods = await self.client.list_pods(job) if job.outcome == "Failed" else ()
        return after_the_resource(job, others, writers, pods)

    async def _carry_out(self, job: JobView, plan: Plan) -> bool:
        """Return False if the apiserver refuses to let the Job run, or to delete it, which is told."""
        refusal = None
        if plan.scale_job is not None:
            logger.info("the TranscriptionJob is gone: Job %s deletes its results", job.name)
            refusal = await self.applier.ensure_parallelism(*plan.scale_job)
        refused = (not_deleted(refusal.message),) if refusal is not None else ()
        for event in (*plan.events, *refused):
            log = logger.warning if event.type == "Warning" else logger.info
            log("%s: %s", event.reason, event.message)
            self.applier.recorder.record(job, event)
        deleted = [await self._delete(done) for done in plan.delete_jobs]
        return refusal is None and all(deleted)

    async def _delete(self, job: JobView) -> bool:
        """Return False if the apiserver refuses it: a resource that has the name of the one before must not wait for that."""
        try:
            await self.client.delete_job(job)
        except ApiError as error:
            refusal = explain_refusal(error, reasons.DELETION_REFUSED)
            if refusal is None:
                raise
            logger.warning("Job %s is not deleted: %s", job.name, refusal.message)
            self.applier.recorder.record(job, Event("Warning", refusal.reason.name, truncate_message(refusal.message)))
            return False
        self.cache.remove_job(job)
        return True
