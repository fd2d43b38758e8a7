"""Poll the progress of running workers: GET /progress of each pod every few seconds, many at the same time."""

import asyncio
import json
import logging
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime

import aiohttp
from transcription_api import names
from transcription_api.codec import from_json
from transcription_api.report import Progress

from transcription_operator.models.objects import Key, PodView
from transcription_operator.models.times import format_time
from transcription_operator.reconcile.observed_state import ObservedProgress

logger = logging.getLogger(__name__)

# Seconds. A worker that transcribes answers at once, since its server has a thread of its own.
REQUEST_TIMEOUT_SECONDS = 3.0
# Bytes. A response is far smaller; what a pod sends beyond this is not read.
RESPONSE_LIMIT = 64 * 1024
# Requests at the same time.
CONNECTIONS = 64


@dataclass(frozen=True)
class _Target:
    pod_uid: str
    url: str


class ProgressPoller:
    """Polls the pods that the reconciler has set, and calls `on_change` with the key when a pod's progress has changed.

    `now` returns the apiserver's time.
    """

    def __init__(self, seconds: float, on_change: Callable[[Key], None], now: Callable[[], datetime]) -> None:
        self._seconds = seconds
        self._now = now
        self._on_change = on_change
        self._targets: dict[Key, _Target] = {}
        self._latest: dict[Key, tuple[str, ObservedProgress]] = {}  # with the uid of the pod

    def set_pod(self, key: Key, pod: PodView | None) -> None:
        """Poll this pod for the resource from now on; with None, or a pod that has no address, poll none."""
        if pod is None or pod.ip is None:
            self._targets.pop(key, None)
            self._latest.pop(key, None)
            return
        host = f"[{pod.ip}]" if ":" in pod.ip else pod.ip
        self._targets[key] = _Target(pod.uid, f"http://{host}:{names.PROGRESS_PORT}/progress")

    def latest(self, key: Key, pod: PodView) -> ObservedProgress | None:
        """The latest progress of this pod, or None if it has not answered yet."""
        uid, observed = self._latest.get(key, ("", None))
        return observed if uid == pod.uid else None

    async def run(self) -> None:
        """Poll until cancelled."""
        timeout = aiohttp.ClientTimeout(total=REQUEST_TIMEOUT_SECONDS)
        connector = aiohttp.TCPConnector(limit=CONNECTIONS, force_close=True)
        async with aiohttp.ClientSession(timeout=timeout, connector=connector) as session:
            while True:
                await asyncio.sleep(self._seconds)
                await asyncio.gather(*(self._poll(session, *item) for item in list(self._targets.items())))

    async def _poll(self, session: aiohttp.ClientSession, key: Key, target: _Target) -> None:
        try:
            progress = await _get_progress(session, target.url)
        except (aiohttp.ClientError, TimeoutError, OSError, ValueError) as error:
            logger.debug("no progress from %s: %s", target.url, error or type(error).__name__)
            return
        uid, old = self._latest.get(key, ("", None))
        if self._targets.get(key) == target and (uid != target.pod_uid or old is None or old.progress != progress):
            self._latest[key] = target.pod_uid, ObservedProgress(progress, format_time(self._now()))
            self._on_change(key)


async def _get_progress(session: aiohttp.ClientSession, url: str) -> Progress:
    """Raises ValueError if the response is not the progress that this version knows."""
    async with session.get(url, allow_redirects=False) as response:
        if response.status != 200:
            raise ValueError(f"got status {response.status}, expected 200")
        text = await response.content.read(RESPONSE_LIMIT)
    return from_json(Progress, json.loads(text), "progress")
