"""Whatever one pod answers, the progress of the others is polled as before."""

import asyncio
import contextlib
import dataclasses
import gzip
import json
from collections.abc import AsyncIterator, Callable
from datetime import UTC, datetime
from typing import Any

import pytest
from transcription_api import names
from transcription_api.report import Progress
from transcription_operator.controller import progress_poller
from transcription_operator.controller.progress_poller import ProgressPoller
from transcription_operator.models.objects import Key
from transcription_operator.models.times import format_time

from tests.support.progress_pods import (
    Answer,
    ProgressPod,
    drips,
    floods,
    hangs,
    http_response,
    progress_pods,
    says,
    sends,
)

PATIENCE = 60.0  # seconds
SECONDS = 0.02  # between two polls of a pod
GOOD = {"stage": "transcribe", "secondsDone": 1.5, "secondsTotal": 10.0}
STAGE = b'{"stage":"x","secondsDone":'
HOSTILE = {
    "an integer of 400 digits": http_response(STAGE + b"1" + b"0" * 400 + b"}"),
    "an integer of 10000 digits": http_response(STAGE + b"1" + b"0" * 10_000 + b"}"),
    "60000 open brackets": http_response(b"[" * 60_000),
    "60000 open brackets in a field": http_response(STAGE + b"[" * 60_000),
    "not a number": http_response(STAGE + b"NaN}"),
    "a float without bound": http_response(STAGE + b"1e999}"),
    "a list": http_response(b"[]"),
    "a stage that is a number": http_response(b'{"stage":1}'),
    "no UTF-8": http_response(b'{"stage":"\xff\xfe"}'),
    "an error": http_response(b"", status="500 Oh"),
    "another protocol": b"SSH-2.0-OpenSSH_9.9\r\n",
    "a header of 100 KB": http_response(b"{}", "X: " + "x" * 100_000),
    "1000 headers": http_response(b"{}", *["X: y"] * 1000),
    "a gzip bomb": http_response(gzip.compress(b" " * 50_000_000), "Content-Encoding: gzip"),
    "a broken encoding": http_response(b"{}", "Content-Encoding: zstd"),
    "a megabyte": http_response(b'"' + b"x" * 1_000_000 + b'"'),
    "nothing": b"",
}


def ignore(_key: Key) -> None:
    """Do nothing about a change."""


@contextlib.asynccontextmanager
async def polling(pods: list[ProgressPod], on_change: Callable[[Key], None] = ignore) -> AsyncIterator[ProgressPoller]:
    """Poll the pods until the block ends. Fails if the poller ends first."""
    poller = ProgressPoller(SECONDS, on_change, lambda: datetime.now(UTC))
    for number, item in enumerate(pods):
        poller.set_pods(Key("team-a", str(number)), [item.view])
    running = asyncio.create_task(poller.run())
    try:
        async with asyncio.timeout(PATIENCE):
            yield poller
        assert not running.done(), running.exception()
    finally:
        running.cancel()
        await asyncio.gather(running, return_exceptions=True)


async def until(there: Callable[[], Any]) -> None:
    while not there():  # noqa: ASYNC110 - nobody tells of it
        await asyncio.sleep(0.005)


async def shown(answer: Answer) -> Progress | None:
    """Return the progress that is known of a pod after its first answers."""
    async with progress_pods(answer) as (item,), polling([item]) as poller:
        await until(lambda: item.requests >= 2)
        observed = poller.latest(Key("team-a", "0"), item.view)
    return None if observed is None else observed.progress


@pytest.mark.parametrize("answer", HOSTILE.values(), ids=HOSTILE)
async def test_a_hostile_answer_ends_neither_the_operator_nor_the_polls_of_other_pods(answer: bytes) -> None:
    async with progress_pods(sends(answer), says(**GOOD)) as (hostile, honest), polling([hostile, honest]) as poller:
        await until(lambda: hostile.requests >= 2)
        polled = honest.requests
        await until(lambda: honest.requests >= polled + 2)
        assert poller.latest(Key("team-a", "1"), honest.view) is not None


@pytest.mark.parametrize("answer", [hangs, drips, floods])
async def test_a_pod_whose_answer_has_no_end_holds_up_no_other(answer: Answer, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(progress_poller, "REQUEST_TIMEOUT_SECONDS", 60.0)
    async with progress_pods(answer, says(**GOOD)) as (endless, honest), polling([endless, honest]) as poller:
        async with asyncio.timeout(30.0):
            await until(lambda: endless.requests >= 1 and honest.requests >= 5)
        assert poller.latest(Key("team-a", "0"), endless.view) is None
        assert poller.latest(Key("team-a", "1"), honest.view) is not None


async def test_pods_that_never_answer_leave_connections_to_those_that_do(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(progress_poller, "REQUEST_TIMEOUT_SECONDS", 0.15)
    monkeypatch.setattr(progress_poller, "CONNECTIONS", 2)
    async with progress_pods(*[hangs] * 8, says(**GOOD)) as (*silent, honest), polling([*silent, honest]):
        await until(lambda: honest.requests >= 6)
        assert max(item.requests for item in silent) < honest.requests


async def test_an_answer_in_two_pieces_is_read_whole() -> None:
    whole = http_response(json.dumps(GOOD).encode())
    progress = await shown(sends(whole[:-20], whole[-20:]))
    assert progress == Progress("transcribe", 1.5, 10.0)


async def test_an_answer_is_not_decompressed() -> None:
    assert await shown(sends(http_response(gzip.compress(json.dumps(GOOD).encode()), "Content-Encoding: gzip"))) is None


async def test_no_redirect_is_followed() -> None:
    async with progress_pods(says(**GOOD)) as (other,):
        location = f"Location: http://{other.address}:{names.PROGRESS_PORT}/progress"
        assert await shown(sends(http_response(b"", location, status="302 Found"))) is None
    assert other.requests == 0


@pytest.mark.parametrize(
    ("answer", "progress"),
    [
        ({"stage": "fetch", "secondsDone": -1.0}, Progress("fetch")),
        ({"stage": "fetch", "secondsTotal": -5.0, "etaSeconds": 1e300}, Progress("fetch")),
        ({"stage": "fetch", "language": 7, "device": {"name": "no kind"}}, Progress("fetch")),
        ({"stage": "fetch", "framesDone": 3}, Progress("fetch")),
        ({"stage": "\ud800\x1b[2J"}, Progress("\ufffd\ufffd[2J")),
        ({"stage": "s" * 1000}, Progress("s" * 62 + "…")),
    ],
)
async def test_of_progress_out_of_range_the_rest_is_shown(answer: dict[str, Any], progress: Progress) -> None:
    assert await shown(says(**answer)) == progress


async def test_a_pod_that_is_another_one_at_the_same_address_is_polled_anew() -> None:
    async with progress_pods(says(**GOOD)) as (item,), polling([item]) as poller:
        await until(lambda: item.requests >= 1)
        poller.set_pods(Key("team-a", "0"), ())
        assert poller.latest(Key("team-a", "0"), item.view) is None
        polled = item.requests
        poller.set_pods(Key("team-a", "0"), [item.view])
        await until(lambda: item.requests > polled + 1)


async def test_a_pod_that_falls_silent_is_told_once_and_since_when_and_again_when_it_answers() -> None:
    told: list[Key] = []
    key = Key("team-a", "0")
    async with progress_pods(says(**GOOD)) as (item,), polling([item], told.append) as poller:
        await until(lambda: poller.latest(key, item.view))
        assert poller.silent_since(key, item.view) is None
        answer, item.answer = item.answer, sends(b"")
        await until(lambda: poller.silent_since(key, item.view))
        polled = item.requests
        await until(lambda: item.requests >= polled + 1)
        assert told == [key, key]  # its progress, and its silence
        item.answer = answer
        await until(lambda: poller.silent_since(key, item.view) is None)
        assert told == [key, key, key]


async def test_many_pods_of_one_resource_are_polled_each_and_nobody_is_told_of_every_change() -> None:
    told: list[Key] = []
    key = Key("team-a", "many")
    async with progress_pods(says(**GOOD), says(**GOOD), hangs) as pods, polling([], told.append) as poller:
        views = [dataclasses.replace(item.view, uid=f"pod-{number}") for number, item in enumerate(pods)]
        poller.set_pods(key, views)
        await until(lambda: len(poller.latest_of(key, views)) == 2)
        assert told == []
        poller.set_pods(key, views[:1])
        assert [item.progress.seconds_done for item in poller.latest_of(key, views)] == [1.5]
        polled = pods[1].requests
        await asyncio.sleep(5 * SECONDS)
        assert pods[1].requests <= polled + 1  # one may have been on its way


async def test_a_pod_that_never_answered_is_silent_since_the_polls_began() -> None:
    before = format_time(datetime.now(UTC))
    async with progress_pods(sends(b"")) as (item,), polling([item]) as poller:
        await until(lambda: poller.silent_since(Key("team-a", "0"), item.view))
        since = poller.silent_since(Key("team-a", "0"), item.view)
    assert since is not None
    assert before <= since <= format_time(datetime.now(UTC))
