"""Start the operator's parts in their order, and end them together."""

import asyncio
import logging
import signal

from aiohttp import web
from transcription_api import names

from transcription_operator.cluster import (
    ApiError,
    Connection,
    KubernetesClient,
    LeaseLock,
    UnreachableError,
    connect,
)
from transcription_operator.config import Config
from transcription_operator.controller.apply import Applier
from transcription_operator.controller.controller import Controller
from transcription_operator.controller.event_recorder import EventRecorder
from transcription_operator.controller.job_events import JobEventReader
from transcription_operator.controller.leader_election import LeaderElector
from transcription_operator.controller.node_reader import NodeReader
from transcription_operator.controller.observe import Observer
from transcription_operator.controller.progress_poller import ProgressPoller
from transcription_operator.controller.reconciler import Reconciler
from transcription_operator.models.objects import Key
from transcription_operator.observability.health import serve_health
from transcription_operator.observability.metrics import Metrics
from transcription_operator.watch.informer import Informer
from transcription_operator.watch.informer_cache import InformerCache
from transcription_operator.watch.kopf_watches import run_watches
from transcription_operator.watch.liveness import WatchLiveness
from transcription_operator.watch.resync import Resync
from transcription_operator.work_queue import WorkQueue

logger = logging.getLogger(__name__)

# Requests at the same time in addition to one for each queue worker: lists and events.
SPARE_CONNECTIONS = 8
# Seconds between two tries to list the resources while the apiserver or the CRD is not there yet.
CRD_RETRY_SECONDS = 2.0


class LeaseLostError(RuntimeError):
    """The lease is lost and another replica may lead: this process must end."""


async def run_operator(config: Config) -> None:
    """Run until SIGTERM or SIGINT.

    Raises:
        LeaseLostError: another replica may lead, so that the process must end with an error.
        CancelledError: SIGTERM came before the watches began.
    """
    _cancel_on_sigterm()
    # Requests for the lease are always sent: a replica cannot become the leader otherwise.
    lease_connection = await connect(2, lambda: True)
    lock = LeaseLock(lease_connection, config.lease_namespace, config.lease_name)
    elector = LeaderElector(lock, config.pod_name, config.lease_seconds)
    connection = await connect(config.queue_workers + SPARE_CONNECTIONS, lambda: elector.leading)
    try:
        await _run_parts(config, connection, elector)
    finally:
        await _release_lease(elector)
        await connection.close()
        await lease_connection.close()


def _cancel_on_sigterm() -> None:
    """Cancel the current task on SIGTERM, until Kopf sets its own handler when the watches begin.

    The kernel ignores SIGTERM for the first process of a container that handles it in no way, so that a pod that waits for
    the apiserver would take its whole grace period to end.
    """
    if (task := asyncio.current_task()) is not None:
        asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, task.cancel)


async def _run_parts(config: Config, connection: Connection, elector: LeaderElector) -> None:
    # A replica that does not lead queues nothing: it would collect the keys of all that ever existed.
    metrics, queue, liveness = Metrics(), WorkQueue[Key](accepting=False), WatchLiveness()
    connection.on_request = metrics.request_sent
    metrics.queue_depth.set_function(lambda: len(queue))
    metrics.leading.set_function(lambda: float(elector.leading))
    cache, client = InformerCache(metrics.resource_changed), KubernetesClient(connection)
    metrics.failed_deletions.set_function(cache.failed_deletions)
    informer = Informer(config, cache, queue, liveness)
    resync = Resync(config, client, cache, informer)
    metrics.namespaces_unavailable.set_function(lambda: len(resync.unavailable))
    poller = ProgressPoller(config.progress_seconds, queue.add, client.now)
    recorder = EventRecorder(client, lambda: not queue.idle)
    nodes = NodeReader(client, config.read_nodes)
    observer = Observer(client, cache, poller, JobEventReader(client), nodes)
    applier = Applier(client, cache, recorder)
    reconciler = Reconciler(config, observer, applier, queue, poller, metrics)
    controller = Controller(reconciler, client, cache, queue, metrics)

    server = await _serve_health(config, liveness, resync, metrics)
    try:
        await _wait_for_crd(client)
        async with asyncio.TaskGroup() as group:
            acquired, leading = asyncio.Event(), asyncio.Event()
            # All tasks are created before Kopf starts: when it ends, Kopf waits for every task that is younger than itself.
            tasks = [group.create_task(part) for part in (resync.run(), poller.run(), recorder.run())]
            tasks += [group.create_task(controller.run_worker(leading)) for _ in range(config.queue_workers)]
            tasks += [
                group.create_task(lead(config, elector, resync, acquired)),
                group.create_task(start_reconciles(resync, queue, cache, acquired, leading)),
            ]
            await asyncio.sleep(0)
            await run_watches(config, informer)
            for task in tasks:
                task.cancel()
    finally:
        await server.cleanup()


async def _serve_health(config: Config, liveness: WatchLiveness, resync: Resync, metrics: Metrics) -> web.AppRunner:
    def check_live() -> list[str]:
        return [f"the watch of {watch} is dead" for watch in liveness.dead_watches()]

    def check_ready() -> list[str]:
        return check_live() if resync.synced.is_set() else ["the first list has not ended", *check_namespaces()]

    def check_namespaces() -> list[str]:
        return [f"{name} cannot be listed: {problem}" for name, problem in resync.unavailable.items()]

    return await serve_health(config.http_port, check_live, check_ready, check_namespaces, metrics.registry)


async def lead(config: Config, elector: LeaderElector, resync: Resync, acquired: asyncio.Event) -> None:
    """Acquire the lease once everything could be listed, set `acquired`, and renew the lease.

    Raises:
        LeaseLostError: another replica may lead.
    """
    await resync.synced.wait()
    await elector.acquire()
    logger.info("became the leader as %s", config.pod_name)
    acquired.set()
    await elector.renew()
    raise LeaseLostError(f"the lease {config.lease_name} is lost")


async def start_reconciles(
    resync: Resync, queue: WorkQueue[Key], cache: InformerCache, acquired: asyncio.Event, leading: asyncio.Event
) -> None:
    """Once this replica leads, list everything, reconcile it, and set `leading` for the workers to begin.

    What was known before may be older than the last writes of the leader before: a watch may be late, or dead and not yet
    found to be so.
    """
    await acquired.wait()
    await resync.list_all_answered()
    queue.accept(cache.known_keys())
    leading.set()


async def _wait_for_crd(client: KubernetesClient) -> None:
    """Wait until the apiserver serves TranscriptionJobs: Helm may start the operator before the CRD is established."""
    while True:
        try:
            if await client.serves_resources():
                return
            logger.warning("waiting for the CRD of %s", names.PLURAL)
        except (ApiError, UnreachableError) as error:
            logger.warning("waiting for the CRD of %s: %s", names.PLURAL, error)
        await asyncio.sleep(CRD_RETRY_SECONDS)


async def _release_lease(elector: LeaderElector) -> None:
    try:
        await elector.release()
    except (ApiError, UnreachableError) as error:
        logger.warning("the lease was not released: %s", error)
