"""Poll the progress of running workers: GET /progress of each pod every few seconds, many at the same time.

Any program may answer in a worker's place. Whatever it does, the polls of other pods go on as they would without it.
"""

import asyncio
import logging
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime

import aiohttp
from transcription_api import names
from transcription_api.report import Progress, parse_progress
from transcription_api.untrusted_json import DEFAULT_LIMIT

from transcription_operator.models.objects import Key, PodView
from transcription_operator.models.times import format_time
from transcription_operator.reconcile.observed_state import ObservedProgress
from transcription_operator.work_queue import WorkQueue

logger = logging.getLogger(__name__)

# Seconds. A worker that transcribes answers at once, since its server has a thread of its own.
REQUEST_TIMEOUT_SECONDS = 3.0
# Requests at the same time.
CONNECTIONS = 64
# A pod that gives no progress is polled half as often after each poll, down to this part of the usual rate, so that pods
# that never answer do not take the connections from those that do.
SLOWEST = 4
# Times the usual seconds between two polls without an answer, after which a worker is called silent.
SILENT_POLLS = 3


@dataclass
class _Target:
    pod_uid: str
    url: str
    answered: datetime  # by the apiserver's clock; before the first answer: when the polls began
    silent: bool = False
    slowdown: int = 1  # times the usual seconds between two polls


class ProgressPoller:
    """Polls the pods that the reconciler has set.

    It calls `on_change` with the key when a pod's progress has changed, or when a pod falls silent or answers again.

    `now` returns the apiserver's time.
    """

    def __init__(self, seconds: float, on_change: Callable[[Key], None], now: Callable[[], datetime]) -> None:
        self._seconds = seconds
        self._now = now
        self._on_change = on_change
        self._targets: dict[Key, _Target] = {}
        self._latest: dict[Key, tuple[str, ObservedProgress]] = {}  # with the uid of the pod
        self._due = WorkQueue[Key]()

    def set_pod(self, key: Key, pod: PodView | None) -> None:
        """Poll this pod for the resource from now on; with None, or a pod that has no address, poll none."""
        if pod is None or pod.ip is None:
            self._targets.pop(key, None)
            self._latest.pop(key, None)
            self._due.add_after(key, None)
            return
        host = f"[{pod.ip}]" if ":" in pod.ip else pod.ip
        url = f"http://{host}:{names.PROGRESS_PORT}/progress"
        old = self._targets.get(key)
        if old is None or (old.pod_uid, old.url) != (pod.uid, url):
            self._targets[key] = _Target(pod.uid, url, self._now())
            self._due.add_after(key, self._seconds)

    def latest(self, key: Key, pod: PodView) -> ObservedProgress | None:
        """The latest progress of this pod, or None if it has not answered yet."""
        uid, observed = self._latest.get(key, ("", None))
        return observed if uid == pod.uid else None

    def silent_since(self, key: Key, pod: PodView) -> str | None:
        """Since when the pod has not answered (RFC 3339, UTC), or None if it does or has had no time to."""
        target = self._targets.get(key)
        return (
            format_time(target.answered) if target is not None and target.silent and target.pod_uid == pod.uid else None
        )

    async def run(self) -> None:
        """Poll until cancelled."""
        async with _session() as session, asyncio.TaskGroup() as group:
            for _ in range(CONNECTIONS):
                group.create_task(self._run_worker(session))

    async def _run_worker(self, session: aiohttp.ClientSession) -> None:
        """Poll one pod after another."""
        while True:
            key = await self._due.get()
            try:
                target = self._targets.get(key)
                if target is not None:
                    await self._poll(session, key, target)
            finally:
                self._due.done(key)

    async def _poll(self, session: aiohttp.ClientSession, key: Key, target: _Target) -> None:
        """Poll one pod, whatever it answers, and schedule its next poll."""
        try:
            self._take(key, target, await _get_progress(session, target.url))
            target.answered, target.slowdown = self._now(), 1
        except Exception as error:  # noqa: BLE001 - an answer, which anybody may have written, ends no other poll
            # The error's own words may hold what the pod has sent.
            logger.debug("no progress from %s: %s", target.url, type(error).__name__)
            target.slowdown = min(2 * target.slowdown, SLOWEST)
        if self._targets.get(key) is target:
            self._due.add_after(key, self._seconds * target.slowdown)
            self._tell_silence(key, target)

    def _tell_silence(self, key: Key, target: _Target) -> None:
        silent = (self._now() - target.answered).total_seconds() >= SILENT_POLLS * self._seconds
        if silent != target.silent:
            target.silent = silent
            self._on_change(key)

    def _take(self, key: Key, target: _Target, progress: Progress) -> None:
        uid, old = self._latest.get(key, ("", None))
        if self._targets.get(key) is target and (uid != target.pod_uid or old is None or old.progress != progress):
            self._latest[key] = target.pod_uid, ObservedProgress(progress, format_time(self._now()))
            self._on_change(key)


def _session() -> aiohttp.ClientSession:
    """Return a session that keeps nothing of an answer: no connection, no cookie; and that decompresses nothing."""
    return aiohttp.ClientSession(
        timeout=aiohttp.ClientTimeout(total=REQUEST_TIMEOUT_SECONDS),
        connector=aiohttp.TCPConnector(limit=CONNECTIONS, force_close=True),
        cookie_jar=aiohttp.DummyCookieJar(),
        auto_decompress=False,
        headers={"Accept-Encoding": "identity"},
    )


async def _get_progress(session: aiohttp.ClientSession, url: str) -> Progress:
    """Raises ValueError if the response is no progress, and the errors of aiohttp."""
    async with session.get(url, allow_redirects=False) as response:
        if response.status != 200:
            raise ValueError(f"got status {response.status}, expected 200")
        text = b""
        while len(text) <= DEFAULT_LIMIT and (chunk := await response.content.read(DEFAULT_LIMIT)):
            text += chunk
    return parse_progress(text)
