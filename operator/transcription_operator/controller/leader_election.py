"""Elect the replica that acts: the holder of a Lease, which it renews while it runs and which others take over afterwards.

The rules are client-go's. Another replica's lease is valid for its duration after this replica last saw it change, measured
with this replica's monotonic clock, so that clocks which differ or jump do no harm. A holder that cannot renew its lease
stops well before anybody else may take it over.
"""

import asyncio
import logging
import time
from collections.abc import Callable
from datetime import UTC, datetime

from transcription_operator.cluster import ApiError, Lease, LeaseLock, UnreachableError

logger = logging.getLogger(__name__)

# client-go's defaults are a retry period of 2 s and a renew deadline of 10 s for a lease of 15 s; ours scale with the lease.
RETRY_SHARE = 2 / 15
RENEW_SHARE = 10 / 15


class LeaderElector:
    """One candidate. `leading` is checked before each write to the apiserver."""

    def __init__(
        self, lock: LeaseLock, identity: str, seconds: float, clock: Callable[[], float] = time.monotonic
    ) -> None:
        self._lock = lock
        self._identity = identity
        self._seconds = seconds
        self._clock = clock
        self._observed: Lease | None = None
        self._observed_at = 0.0
        self._renewed_at: float | None = None

    @property
    def leading(self) -> bool:
        """Whether this replica holds the lease and renewed it recently. It turns False by time alone."""
        return self._renewed_at is not None and self._clock() - self._renewed_at < self._seconds * RENEW_SHARE

    async def acquire(self) -> None:
        """Wait until this candidate is the leader."""
        held = await self._try_acquire_or_renew()
        while not held:
            await asyncio.sleep(self._seconds * RETRY_SHARE)
            held = await self._try_acquire_or_renew()

    async def renew(self) -> None:
        """Renew the lease until it is lost. The caller must then stop writing, best by ending the process."""
        while self.leading:
            await asyncio.sleep(self._seconds * RETRY_SHARE)
            if not await self._try_acquire_or_renew() and self._held_by_another(self._observed):
                self._renewed_at = None

    async def release(self) -> None:
        """Release the lease, so that the next leader need not wait until it expires."""
        if self.leading and self._observed is not None:
            await self._write("")
        self._renewed_at = None

    async def _try_acquire_or_renew(self) -> bool:
        """Try once to acquire or renew the lease. An error counts as failure."""
        began = self._clock()
        try:
            async with asyncio.timeout(self._seconds * RENEW_SHARE / 2):
                held = await self._acquire_or_renew()
        except (ApiError, UnreachableError, TimeoutError) as error:
            logger.warning("cannot read or write the lease: %s", str(error) or type(error).__name__)
            return False
        if held:
            self._renewed_at = began
        return held

    async def _acquire_or_renew(self) -> bool:
        lease = await self._lock.read()
        if self._observed is None or lease != self._observed:
            self._observed, self._observed_at = lease, self._clock()
        # The holder renews by its own duration, which an upgrade may have made shorter for this replica.
        valid = self._clock() - self._observed_at < max(self._seconds, lease.seconds)
        if self._held_by_another(lease) and valid:
            return False
        return await self._write(self._identity)

    async def _write(self, holder: str) -> bool:
        observed = self._observed or Lease("", "", 0, None)
        now = datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%S.%fZ")
        transitions = observed.transitions + (1 if holder and holder != observed.holder else 0)
        written = await self._lock.write(Lease(holder, now, transitions, observed.version), round(self._seconds))
        if written is None:
            return False
        self._observed, self._observed_at = written, self._clock()
        return True

    def _held_by_another(self, lease: Lease | None) -> bool:
        return lease is not None and lease.holder not in ("", self._identity)
