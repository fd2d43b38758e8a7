"""Bring one resource from the state it is in to the state its spec asks for: observe, decide, apply."""

from dataclasses import dataclass

from transcription_operator.config import Config
from transcription_operator.controller.apply import Applier
from transcription_operator.controller.observe import Observer
from transcription_operator.controller.orphaned_deletions import OrphanedDeletions
from transcription_operator.controller.progress_poller import ProgressPoller
from transcription_operator.models.objects import Key
from transcription_operator.observability.metrics import Metrics
from transcription_operator.reconcile.decide import decide
from transcription_operator.reconcile.observed_state import ObservedState
from transcription_operator.reconcile.plan import Plan
from transcription_operator.reconcile.requeue import MAX_REQUEUE_SECONDS
from transcription_operator.reconcile.status_transitions import is_finished
from transcription_operator.work_queue import WorkQueue

# How often one reconcile observes and decides: the Job that is to delete the results, a Job to create,
# perhaps one to suspend, then the status that follows.
MAX_ROUNDS = 4


class UnsettledError(Exception):
    """A Job did not stay as it was written in MAX_ROUNDS rounds: somebody else changes it back."""


@dataclass(frozen=True)
class Reconciler:
    """Level-triggered: `reconcile` looks at the whole resource, not at the event that queued its key."""

    config: Config
    observer: Observer
    applier: Applier
    queue: WorkQueue[Key]
    poller: ProgressPoller
    metrics: Metrics

    async def reconcile(self, key: Key) -> None:
        """Reconcile one resource.

        Raises:
            ApiError: the apiserver refused a request.
            UnreachableError: the apiserver did not respond.
            NotLeadingError: this replica is not the leader, so that nothing was written.
            UnsettledError: somebody else changes the Job back.
        """
        orphans = OrphanedDeletions(self.observer.client, self.observer.cache, self.applier)
        again = await orphans.follow(key)
        observed = await self.observer.observe(key)
        for _ in range(MAX_ROUNDS):
            if observed is None:
                self._forget(key, again)
                return
            plan = decide(observed, self.config, self.observer.client.now())
            if plan.create_job is None and plan.suspend_job is None and plan.scale_job is None:
                await self._finish(key, observed, plan, again)
                return
            observed = await self._apply_job(key, observed, plan)
        raise UnsettledError(f"the Job was created or changed {MAX_ROUNDS} times, and somebody changed it back")

    async def _apply_job(self, key: Key, observed: ObservedState, plan: Plan) -> ObservedState | None:
        """Create, suspend or scale the Job, and observe the resource again."""
        rejection = None
        if plan.create_job is not None:
            rejection = await self.applier.ensure_job(plan.create_job, observed.resource)
        if plan.suspend_job is not None:
            rejection = await self.applier.ensure_suspend(*plan.suspend_job)
        if plan.scale_job is not None:
            rejection = await self.applier.ensure_parallelism(*plan.scale_job)
        for event in plan.events if rejection is None else ():
            self.applier.recorder.record(observed.resource, event)
        return await self.observer.observe(key, observed, rejection)

    async def _finish(self, key: Key, observed: ObservedState, plan: Plan, again: float | None) -> None:
        """Write the status and delete what must go. If the operator crashes in between, the next reconcile goes on.

        `again` are the seconds until the Job of an earlier resource of this name is looked at.
        """
        self.poller.set_pods(key, plan.poll_pods)
        await self.applier.write_status(observed, plan)
        if plan.status is not None:  # before a request that may fail: the next reconcile finds the status written
            self.metrics.status_written(observed.status, plan.status)
        deleted = await self.applier.delete_objects(observed.resource, plan)
        after = (plan.requeue_after_seconds if deleted else MAX_REQUEUE_SECONDS, again)
        self.queue.add_after(key, min((seconds for seconds in after if seconds is not None), default=None))
        if plan.status is not None and is_finished(plan.status):
            self.queue.add(key)  # a finished resource has a plan of its own: to clean up, and its time to live

    def _forget(self, key: Key, again: float | None) -> None:
        self.poller.set_pods(key, ())
        self.queue.add_after(key, again)
