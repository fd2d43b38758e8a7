"""A candidate says what keeps it from the lease."""

import asyncio
from typing import Any, cast

import pytest
from transcription_operator.controller.leader_election import LeaderElector


class Silent:
    """An apiserver that accepts the request and never answers."""

    async def read(self) -> None:
        await asyncio.Event().wait()


async def test_an_apiserver_that_does_not_answer_is_named_in_the_log(caplog: pytest.LogCaptureFixture) -> None:
    elector = LeaderElector(cast(Any, Silent()), "operator-1", seconds=0.03)
    with pytest.raises(TimeoutError):
        await asyncio.wait_for(elector.acquire(), 0.2)
    assert not elector.leading
    assert "cannot read or write the lease: TimeoutError" in caplog.messages
