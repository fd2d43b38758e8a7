"""Which of several replicas acts: the holder of a Lease, renewed while it lives, taken over when it stops.

client-go's rules: another's lease counts as alive for its duration after we last saw it change, by our own monotonic clock,
so that clocks that differ or jump do no harm; a holder that cannot renew stops well before anybody may take over.
"""

import asyncio
import logging
import time
from collections.abc import Callable
from datetime import UTC, datetime

from transcription_operator.cluster import ApiError, Lease, LeaseApi, UnreachableError

logger = logging.getLogger(__name__)

# Of the lease's duration: tries are this far apart, and a holder gives up after this long without one that succeeds.
RETRY_SHARE = 2 / 15
RENEW_SHARE = 10 / 15


class LeaderElection:
    """One candidate. `leading` is asked before each write."""

    def __init__(
        self, api: LeaseApi, identity: str, seconds: float, clock: Callable[[], float] = time.monotonic
    ) -> None:
        self._api = api
        self._identity = identity
        self._seconds = seconds
        self._clock = clock
        self._seen: Lease | None = None
        self._seen_at = 0.0
        self._renewed_at: float | None = None

    @property
    def leading(self) -> bool:
        """False as soon as the last renewal is too old, even if nothing has noticed yet."""
        return self._renewed_at is not None and self._clock() - self._renewed_at < self._seconds * RENEW_SHARE

    async def acquire(self) -> None:
        """Returns once this candidate leads."""
        held = await self._tried()
        while not held:
            await asyncio.sleep(self._seconds * RETRY_SHARE)
            held = await self._tried()

    async def renew(self) -> None:
        """Returns once the lease is lost: the caller must stop writing, best by ending the process."""
        while self.leading:
            await asyncio.sleep(self._seconds * RETRY_SHARE)
            if not await self._tried() and self._seen is not None and self._seen.holder not in ("", self._identity):
                self._renewed_at = None

    async def release(self) -> None:
        """Gives the lease back, so that the next leader need not wait."""
        if self.leading and self._seen is not None:
            await self._write("")
        self._renewed_at = None

    async def _tried(self) -> bool:
        """One attempt to take or keep the lease; errors count as a failed one."""
        began = self._clock()
        try:
            async with asyncio.timeout(self._seconds * RENEW_SHARE / 2):
                held = await self._try()
        except (ApiError, UnreachableError, TimeoutError) as error:
            logger.warning("lease: %s", str(error) or type(error).__name__)
            return False
        if held:
            self._renewed_at = began
        return held

    async def _try(self) -> bool:
        lease = await self._api.read()
        if self._seen is None or lease != self._seen:
            self._seen, self._seen_at = lease, self._clock()
        alive = self._clock() - self._seen_at < self._seconds
        if lease.holder not in ("", self._identity) and alive:
            return False
        return await self._write(self._identity)

    async def _write(self, holder: str) -> bool:
        seen = self._seen or Lease("", "", 0, None)
        now = datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%S.%fZ")
        transitions = seen.transitions + (1 if holder and holder != seen.holder else 0)
        written = await self._api.write(Lease(holder, now, transitions, seen.version), round(self._seconds))
        if written is None:
            return False
        self._seen, self._seen_at = written, self._clock()
        return True
