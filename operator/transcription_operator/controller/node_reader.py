"""Read the nodes that have labels of GPU feature discovery, where the operator may: seldom, and once for all resources.

Nodes are never watched: their statuses change every few seconds, and a decision that rests on them waits for a pod in any case.
"""

import asyncio
import logging
import time
from collections.abc import Callable

from transcription_operator.cluster import ApiError, KubernetesClient, UnreachableError
from transcription_operator.models.nodes import NodeView

logger = logging.getLogger(__name__)

# Seconds between two lists.
SECONDS = 60.0


class NodeReader:
    """The nodes as they were when they were listed last."""

    def __init__(
        self, client: KubernetesClient, enabled: bool, monotonic: Callable[[], float] = time.monotonic
    ) -> None:
        self._client = client
        self._enabled = enabled
        self._monotonic = monotonic
        self._listing = asyncio.Lock()
        self._listed_at: float | None = None
        self._nodes: tuple[NodeView, ...] | None = None

    async def read(self) -> tuple[NodeView, ...] | None:
        """The nodes, or None if the operator may not list them or has never been able to. An error stops no reconcile."""
        if not self._enabled:
            return None
        async with self._listing:
            now = self._monotonic()
            if self._listed_at is None or now - self._listed_at >= SECONDS:
                self._listed_at = now
                await self._list()
        return self._nodes

    async def _list(self) -> None:
        try:
            self._nodes = await self._client.list_gpu_nodes()
        except (ApiError, UnreachableError) as error:
            known = "what was listed before is used" if self._nodes is not None else "the first image is used"
            logger.warning("nodes cannot be listed; %s: %s", known, error)
