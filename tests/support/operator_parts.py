"""Put the operator's parts together as startup.py does, without Kopf, the lease and the probes."""

import asyncio
import contextlib
from collections.abc import AsyncIterator, Callable
from typing import Any

from transcription_operator.cluster import Connection, KubernetesClient
from transcription_operator.config import Config
from transcription_operator.controller.apply import Applier
from transcription_operator.controller.controller import Controller
from transcription_operator.controller.event_recorder import EventRecorder
from transcription_operator.controller.job_events import JobEventReader
from transcription_operator.controller.node_reader import NodeReader
from transcription_operator.controller.observe import Observer
from transcription_operator.controller.progress_poller import ProgressPoller
from transcription_operator.controller.reconciler import Reconciler
from transcription_operator.models.objects import Key
from transcription_operator.observability.metrics import Metrics
from transcription_operator.watch.informer import Informer
from transcription_operator.watch.informer_cache import InformerCache
from transcription_operator.watch.liveness import WatchLiveness
from transcription_operator.watch.resync import Resync
from transcription_operator.work_queue import WorkQueue

from tests.support.kubernetes_objects import config


class Parts:
    """The parts that share one connection."""

    def __init__(self, connection: Connection, settings: Config | None = None, accepting: bool = True) -> None:
        settings = settings or config()
        self.client = KubernetesClient(connection)
        self.queue: WorkQueue[Key] = WorkQueue(accepting)
        self.metrics = Metrics()
        self.cache = InformerCache(self.metrics.resource_changed)
        self.liveness = WatchLiveness()
        self.informer = Informer(settings, self.cache, self.queue, self.liveness)
        self.resync = Resync(settings, self.client, self.cache, self.informer)
        poller = ProgressPoller(1.0, self.queue.add, self.client.now)
        observer = Observer(
            self.client, self.cache, poller, JobEventReader(self.client), NodeReader(self.client, settings.read_nodes)
        )
        applier = Applier(self.client, self.cache, EventRecorder(self.client, lambda: False))
        reconciler = Reconciler(settings, observer, applier, self.queue, poller, self.metrics)
        self.controller = Controller(reconciler, self.client, self.cache, self.queue, self.metrics)

    def errors(self, kind: str) -> float:
        """Return how many reconciles failed with this kind of error."""
        sample = self.metrics.registry.get_sample_value("transcription_reconcile_errors_total", {"kind": kind})
        return sample or 0.0

    @contextlib.asynccontextmanager
    async def working(self) -> AsyncIterator[None]:
        """Run one worker of the queue for the block."""
        leading = asyncio.Event()
        leading.set()
        worker = asyncio.create_task(self.controller.run_worker(leading))
        try:
            yield
        finally:
            worker.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await worker


async def until(there: Callable[[], Any], seconds: float = 60.0) -> None:
    """Wait until a condition holds. Raises TimeoutError."""
    async with asyncio.timeout(seconds):
        while not there():  # noqa: ASYNC110 - nobody tells of it
            await asyncio.sleep(0.002)
