"""The operator's time is the apiserver's, whatever the clock of its own node says."""

from datetime import UTC, datetime, timedelta
from email.utils import format_datetime

import pytest
from transcription_operator.cluster import KubernetesClient
from transcription_operator.cluster.clock import ServerClock

from tests.support.scripted_apiserver import connected, scripted_apiserver

TRUE = datetime(2026, 1, 1, 10, 0, 0, tzinfo=UTC)


class Clocks:
    """A monotonic clock that a test moves, and a wall clock that is wrong."""

    def __init__(self, wrong_by: timedelta = timedelta(minutes=10)) -> None:
        self.seconds = 5000.0
        self.wrong_by = wrong_by
        self.clock = ServerClock(lambda: self.seconds, lambda: self.true_time + self.wrong_by)

    @property
    def true_time(self) -> datetime:
        return TRUE + timedelta(seconds=self.seconds - 5000.0)

    def respond(self, latency: float = 0.0) -> None:
        """Take a response that the apiserver wrote halfway between request and answer."""
        sent = self.seconds
        self.seconds += latency / 2
        date = format_datetime(self.true_time.replace(microsecond=0), usegmt=True)
        self.seconds += latency / 2
        self.clock.observe(date, sent)

    def error(self) -> float:
        return (self.clock.now() - self.true_time).total_seconds()


@pytest.mark.parametrize("minutes", [-10, 10])
async def test_an_operator_whose_clock_is_wrong_has_the_time_of_the_apiserver(minutes: int) -> None:
    server_time = datetime.now(UTC) - timedelta(minutes=minutes)
    async with scripted_apiserver() as server, connected(server) as connection:
        server.headers["Date"] = format_datetime(server_time, usegmt=True)
        client = KubernetesClient(connection)
        async for _ in client.list_jobs(None):
            pass
        assert abs((client.now() - server_time).total_seconds()) < 5


async def test_an_error_page_of_a_proxy_does_not_set_the_clock() -> None:
    async with scripted_apiserver() as server, connected(server) as connection:
        server.headers["Date"] = "Thu, 01 Jan 1970 00:00:00 GMT"
        client = KubernetesClient(connection)
        assert await client.get_job("team-a", "nobody") is None
        assert abs((client.now() - datetime.now(UTC)).total_seconds()) < 5


@pytest.mark.parametrize("minutes", [-10, 10])
def test_a_jump_of_the_operators_clock_changes_nothing(minutes: int) -> None:
    clocks = Clocks()
    clocks.respond()
    clocks.wrong_by += timedelta(minutes=minutes)
    clocks.seconds += 30
    assert -1 <= clocks.error() <= 0


def test_many_responses_tell_the_time_to_less_than_the_second_of_the_header() -> None:
    clocks = Clocks()
    for _ in range(20):
        clocks.respond(latency=0.02)
        clocks.seconds += 0.13
    assert -0.2 <= clocks.error() <= 0


def test_time_never_runs_ahead_of_the_apiservers_nor_backwards() -> None:
    clocks = Clocks()
    last = clocks.clock.now() - timedelta(hours=1)
    for step in range(200):
        clocks.respond(latency=(step % 7) * 0.3)
        assert clocks.error() <= 0
        assert clocks.clock.now() >= last
        last = clocks.clock.now()


@pytest.mark.parametrize("minutes", [-10, 10])
def test_a_clock_of_the_apiserver_that_is_set_right_is_followed(minutes: int) -> None:
    clocks = Clocks()
    clocks.respond()
    clocks.seconds += 1
    corrected = clocks.true_time + timedelta(minutes=minutes)
    clocks.clock.observe(format_datetime(corrected, usegmt=True), clocks.seconds)
    assert clocks.clock.now() == corrected


@pytest.mark.parametrize("date", [None, "", "yesterday", "Thu, 99 Foo 2026 10:00:00 GMT"])
def test_without_a_date_the_own_clock_is_all_there_is(date: str | None) -> None:
    clocks = Clocks()
    clocks.clock.observe(date, clocks.seconds)
    assert clocks.error() == 600
