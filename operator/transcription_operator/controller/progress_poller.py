"""Ask running workers how far they are: plain HTTP to the pod, every few seconds, all at the same time."""

import asyncio
import json
import logging
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime

import aiohttp
from transcription_api import names
from transcription_api.codec import from_json
from transcription_api.report import Progress

from transcription_operator.models.objects import Key, PodView
from transcription_operator.models.times import format_time
from transcription_operator.reconcile.plan import SeenProgress

logger = logging.getLogger(__name__)

# Seconds for one answer; a worker that is busy answers from another thread.
ANSWER_SECONDS = 3.0
# Bytes. An answer is far smaller; a pod that sends more is not listened to.
ANSWER_LIMIT = 64 * 1024
# Requests at the same time.
CONNECTIONS = 64


@dataclass(frozen=True)
class _Target:
    pod_uid: str
    url: str


class ProgressPoller:
    """Looks at the pods that reconcile named and hands a changed answer's key to `on_change`."""

    def __init__(self, seconds: float, on_change: Callable[[Key], None]) -> None:
        self._seconds = seconds
        self._on_change = on_change
        self._targets: dict[Key, _Target] = {}
        self._latest: dict[Key, tuple[str, SeenProgress]] = {}

    def watch(self, key: Key, pod: PodView | None) -> None:
        """From now on this pod; None: no more."""
        if pod is None or pod.ip is None:
            self._targets.pop(key, None)
            self._latest.pop(key, None)
            return
        host = f"[{pod.ip}]" if ":" in pod.ip else pod.ip
        self._targets[key] = _Target(pod.uid, f"http://{host}:{names.PROGRESS_PORT}/progress")

    def latest(self, key: Key, pod: PodView) -> SeenProgress | None:
        """The pod's last answer."""
        uid, seen = self._latest.get(key, ("", None))
        return seen if uid == pod.uid else None

    async def run(self) -> None:
        timeout = aiohttp.ClientTimeout(total=ANSWER_SECONDS)
        connector = aiohttp.TCPConnector(limit=CONNECTIONS, force_close=True)
        async with aiohttp.ClientSession(timeout=timeout, connector=connector) as session:
            while True:
                await asyncio.sleep(self._seconds)
                await asyncio.gather(*(self._ask(session, *item) for item in list(self._targets.items())))

    async def _ask(self, session: aiohttp.ClientSession, key: Key, target: _Target) -> None:
        try:
            progress = await _fetch(session, target.url)
        except (aiohttp.ClientError, TimeoutError, OSError, ValueError) as error:
            logger.debug("no progress from %s: %s", target.url, error or type(error).__name__)
            return
        uid, old = self._latest.get(key, ("", None))
        if self._targets.get(key) == target and (uid != target.pod_uid or old is None or old.progress != progress):
            self._latest[key] = target.pod_uid, SeenProgress(progress, format_time(datetime.now(UTC)))
            self._on_change(key)


async def _fetch(session: aiohttp.ClientSession, url: str) -> Progress:
    """Raises ValueError where the answer is none of this version."""
    async with session.get(url, allow_redirects=False) as response:
        if response.status != 200:
            raise ValueError(f"got status {response.status}, expected 200")
        text = await response.content.read(ANSWER_LIMIT)
    return from_json(Progress, json.loads(text), "progress")
