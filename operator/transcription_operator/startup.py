"""The operator as a whole: its parts, their order of starting, and what ends it."""

import asyncio
import itertools
import logging
from collections.abc import Iterator

import kopf
from transcription_api import names

from transcription_operator.cluster import ApiError, Cluster, Connection, LeaseApi, UnreachableError, connect
from transcription_operator.config import Config
from transcription_operator.controller.controller import Controller
from transcription_operator.controller.event_recorder import Recorder
from transcription_operator.controller.leader_election import LeaderElection
from transcription_operator.controller.progress_poller import ProgressPoller
from transcription_operator.models.objects import Key
from transcription_operator.observability.health import serve_health
from transcription_operator.observability.metrics import Metrics
from transcription_operator.watch.handlers import NoMemory, register_handlers
from transcription_operator.watch.informer import Intake
from transcription_operator.watch.liveness import WatchProof
from transcription_operator.watch.resync import Resync
from transcription_operator.watch.store import Store
from transcription_operator.work_queue import WorkQueue

logger = logging.getLogger(__name__)

# Requests at the same time beside the workers': lists, lease, events.
SPARE_CONNECTIONS = 8
# Seconds between two tries while the apiserver or the CRD is not there yet.
WAIT_SECONDS = 2.0


class LeaseLostError(RuntimeError):
    """Another replica may lead by now: this process must end."""


class Backoffs:
    """Seconds between Kopf's tries of a request: without end, so that no watch ever gives up. Each iteration starts anew."""

    def __iter__(self) -> Iterator[float]:
        return itertools.chain((0.5, 1, 2, 3, 5, 8), itertools.repeat(10.0))


async def run_operator(config: Config) -> None:
    """Runs until SIGTERM or SIGINT.

    Raises:
        LeaseLostError: the process must end with an error.
    """
    # The lease is what makes a leader: its own writes are never held back.
    lease_connection = await connect(2, lambda: True)
    lease = LeaseApi(lease_connection, config.lease_namespace, config.lease_name)
    election = LeaderElection(lease, config.pod_name, config.lease_seconds)
    connection = await connect(config.queue_workers + SPARE_CONNECTIONS, lambda: election.leading)
    try:
        await _run_parts(config, connection, election)
    finally:
        await _give_back(election)
        await connection.close()
        await lease_connection.close()


async def _run_parts(config: Config, connection: Connection, election: LeaderElection) -> None:
    metrics, queue, proof = Metrics(), WorkQueue[Key](), WatchProof()
    metrics.queue_depth.set_function(lambda: len(queue))
    metrics.leading.set_function(lambda: float(election.leading))
    store, cluster = Store(metrics.changed), Cluster(connection)
    intake = Intake(config, store, queue, proof)
    resync = Resync(config, cluster, store, queue, intake)
    poller = ProgressPoller(config.progress_seconds, queue.add)
    recorder = Recorder(cluster, lambda: not queue.idle)
    controller = Controller(config, cluster, store, queue, poller, recorder, metrics)

    def troubles() -> list[str]:
        return [f"the watch of {stream} is dead" for stream in proof.dead_streams()]

    def unready() -> list[str]:
        return troubles() if resync.done.is_set() else ["the first list is not through"]

    server = await serve_health(config.http_port, troubles, unready, metrics.registry)
    try:
        await _wait_for_kinds(cluster, config)
        async with asyncio.TaskGroup() as group:
            leading = asyncio.Event()
            # All before Kopf starts: at its end Kopf waits for every task that is younger than itself.
            parts = [group.create_task(part) for part in (resync.run(), poller.run(), recorder.run())]
            parts += [group.create_task(controller.work(leading)) for _ in range(config.queue_workers)]
            parts += [group.create_task(_lead(config, election, resync, leading))]
            await asyncio.sleep(0)
            await _watch(config, intake)
            for task in parts:
                task.cancel()
    finally:
        await server.cleanup()


async def _lead(config: Config, election: LeaderElection, resync: Resync, leading: asyncio.Event) -> None:
    """Workers run only while this replica leads, and only on a store that is whole."""
    await resync.done.wait()
    await election.acquire()
    logger.info("leading as %s", config.pod_name)
    leading.set()
    await election.renew()
    raise LeaseLostError(f"the lease {config.lease_name} is lost")


async def _watch(config: Config, intake: Intake) -> None:
    """Kopf, until a signal ends it."""
    await kopf.operator(
        registry=register_handlers(intake),
        settings=_kopf_settings(),
        standalone=True,
        clusterwide=not config.namespaces,
        namespaces=config.namespaces,
    )


def _kopf_settings() -> kopf.OperatorSettings:
    settings = kopf.OperatorSettings()
    settings.posting.enabled = False
    settings.persistence.diffbase_storage = NoMemory()
    settings.scanning.disabled = True  # neither CRDs nor namespaces are watched: fewer rights, fewer ways to die
    settings.networking.error_backoffs = Backoffs()
    settings.networking.request_timeout = 30
    settings.networking.connect_timeout = 10
    settings.watching.server_timeout = 300
    settings.watching.client_timeout = 310
    settings.watching.connect_timeout = 10
    settings.watching.chunk_size = 500
    settings.watching.label_selectors["batch", "v1", "jobs"] = names.LABEL_UID
    # Kopf keeps a task for each object that it has seen of late: 5,000 at once would cost 40 MiB.
    settings.queueing.idle_timeout = 0.1
    return settings


async def _wait_for_kinds(cluster: Cluster, config: Config) -> None:
    """The apiserver answers and knows the resource: Helm may start us a moment before its CRD is established."""
    namespace = config.namespaces[0] if config.namespaces else None
    while True:
        try:
            async for _ in cluster.list_resources(namespace):
                return
        except (ApiError, UnreachableError) as error:
            logger.warning("waiting for %s: %s", names.PLURAL, error)
            await asyncio.sleep(WAIT_SECONDS)


async def _give_back(election: LeaderElection) -> None:
    try:
        await election.release()
    except (ApiError, UnreachableError) as error:
        logger.warning("the lease was not given back: %s", error)
