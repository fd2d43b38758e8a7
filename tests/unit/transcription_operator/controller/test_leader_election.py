"""A candidate says what keeps it from the lease."""

import asyncio
import contextlib
from typing import Any, cast

import pytest
from transcription_operator.cluster import Lease
from transcription_operator.controller.leader_election import LeaderElector


class Silent:
    """An apiserver that accepts the request and never answers."""

    async def read(self) -> None:
        await asyncio.Event().wait()


class Stored:
    """A Lease that another replica holds and does not renew."""

    def __init__(self, renewed: str, seconds: int) -> None:
        self.lease = Lease("operator-2", renewed, 1, "7", seconds)

    async def read(self) -> Lease:
        return self.lease

    async def write(self, lease: Lease, _seconds: int) -> Lease:
        self.lease = lease
        return lease


async def seconds_until_taken_over(stored: Stored, seconds: float) -> float:
    """Return how long a candidate whose leases last for `seconds` waits, by a clock that the test moves."""
    now = 1000.0
    elector = LeaderElector(cast(Any, stored), "operator-1", seconds, clock=lambda: now)
    for _ in range(200):
        with contextlib.suppress(TimeoutError):
            await asyncio.wait_for(elector.acquire(), 0.001)
        if elector.leading:
            break
        now += 1
    return now - 1000.0


@pytest.mark.parametrize("renewed", ["1990-01-01T00:00:00.000000Z", "2090-01-01T00:00:00.000000Z"])
async def test_a_lease_is_taken_over_after_its_duration_whatever_the_clock_of_its_holder_said(renewed: str) -> None:
    assert await seconds_until_taken_over(Stored(renewed, 15), 15) == 15


async def test_a_lease_that_lasts_longer_than_those_of_the_new_version_is_waited_for() -> None:
    """The holder still runs with the settings from before an upgrade, and counts on their duration."""
    assert await seconds_until_taken_over(Stored("2026-01-01T10:00:00.000000Z", 60), 15) == 60


async def test_an_apiserver_that_does_not_answer_is_named_in_the_log(caplog: pytest.LogCaptureFixture) -> None:
    elector = LeaderElector(cast(Any, Silent()), "operator-1", seconds=0.03)
    with pytest.raises(TimeoutError):
        await asyncio.wait_for(elector.acquire(), 0.2)
    assert not elector.leading
    assert "cannot read or write the lease: TimeoutError" in caplog.messages
