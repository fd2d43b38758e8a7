"""Poll the progress of running workers: GET /progress of each pod every few seconds, many at the same time.

Any program may answer in a worker's place. Whatever it does, the polls of other pods go on as they would without it.
"""

import asyncio
import logging
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from datetime import datetime
from typing import NamedTuple

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


class _PodKey(NamedTuple):
    """A pod of a resource: an item of the poller's queue."""

    resource: Key
    uid: str


@dataclass
class _Target:
    url: str
    answered: datetime  # by the apiserver's clock; before the first answer: when the polls began
    latest: ObservedProgress | None = None
    silent: bool = False
    slowdown: int = 1  # times the usual seconds between two polls


class ProgressPoller:
    """Polls the pods that the reconciler has set.

    It calls `on_change` with the key when a pod's progress has changed, or when a pod falls silent or answers again. Of
    a resource with many pods it tells nothing: one of them changes all the time, and the reconciler looks by itself.

    `now` returns the apiserver's time.
    """

    def __init__(self, seconds: float, on_change: Callable[[Key], None], now: Callable[[], datetime]) -> None:
        self._seconds = seconds
        self._now = now
        self._on_change = on_change
        self._targets: dict[Key, dict[str, _Target]] = {}  # by the pod's uid
        self._due = WorkQueue[_PodKey]()

    def set_pods(self, key: Key, pods: Iterable[PodView]) -> None:
        """Poll these pods for the resource from now on, and no others. A pod that has no address is not polled."""
        old, new = self._targets.pop(key, {}), {}
        for pod in pods:
            if pod.ip is None:
                continue
            host = f"[{pod.ip}]" if ":" in pod.ip else pod.ip
            url = f"http://{host}:{names.PROGRESS_PORT}/progress"
            known = old.get(pod.uid)
            new[pod.uid] = known if known is not None and known.url == url else _Target(url, self._now())
            if new[pod.uid] is not known:
                self._due.add_after(_PodKey(key, pod.uid), self._seconds)
        for uid in old.keys() - new.keys():
            self._due.add_after(_PodKey(key, uid), None)
        if new:
            self._targets[key] = new

    def latest(self, key: Key, pod: PodView) -> ObservedProgress | None:
        """The latest progress of this pod, or None if it has not answered yet."""
        target = self._targets.get(key, {}).get(pod.uid)
        return target.latest if target is not None else None

    def latest_of(self, key: Key, pods: Iterable[PodView]) -> tuple[ObservedProgress, ...]:
        """The latest progress of those of the pods that have answered, but for those that have fallen silent."""
        targets = self._targets.get(key, {})
        found = (targets.get(pod.uid) for pod in pods)
        return tuple(target.latest for target in found if target and target.latest and not target.silent)

    def silent_since(self, key: Key, pod: PodView) -> str | None:
        """Since when the pod has not answered (RFC 3339, UTC), or None if it does or has had no time to."""
        target = self._targets.get(key, {}).get(pod.uid)
        return format_time(target.answered) if target is not None and target.silent else None

    async def run(self) -> None:
        """Poll until cancelled."""
        async with _session() as session, asyncio.TaskGroup() as group:
            for _ in range(CONNECTIONS):
                group.create_task(self._run_worker(session))

    async def _run_worker(self, session: aiohttp.ClientSession) -> None:
        """Poll one pod after another."""
        while True:
            pod = await self._due.get()
            try:
                target = self._target(pod)
                if target is not None:
                    await self._poll(session, pod, target)
            finally:
                self._due.done(pod)

    def _target(self, pod: _PodKey) -> _Target | None:
        return self._targets.get(pod.resource, {}).get(pod.uid)

    async def _poll(self, session: aiohttp.ClientSession, pod: _PodKey, target: _Target) -> None:
        """Poll one pod, whatever it answers, and schedule its next poll."""
        try:
            self._take(pod, target, await _get_progress(session, target.url))
            target.answered, target.slowdown = self._now(), 1
        except Exception as error:  # noqa: BLE001 - an answer, which anybody may have written, ends no other poll
            # The error's own words may hold what the pod has sent.
            logger.debug("no progress from %s: %s", target.url, type(error).__name__)
            target.slowdown = min(2 * target.slowdown, SLOWEST)
        if self._target(pod) is target:
            self._due.add_after(pod, self._seconds * target.slowdown)
            self._tell_silence(pod, target)

    def _tell_silence(self, pod: _PodKey, target: _Target) -> None:
        silent = (self._now() - target.answered).total_seconds() >= SILENT_POLLS * self._seconds
        if silent != target.silent:
            target.silent = silent
            self._tell(pod.resource)

    def _take(self, pod: _PodKey, target: _Target, progress: Progress) -> None:
        if self._target(pod) is target and (target.latest is None or target.latest.progress != progress):
            target.latest = ObservedProgress(progress, format_time(self._now()))
            self._tell(pod.resource)

    def _tell(self, key: Key) -> None:
        if len(self._targets.get(key, {})) == 1:
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
