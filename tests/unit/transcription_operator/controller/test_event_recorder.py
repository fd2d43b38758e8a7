"""An event fits Kubernetes' limits whatever its text, and one that cannot be created ends no other."""

import asyncio
import contextlib
from collections.abc import Awaitable, Callable
from typing import Any

import pytest
from transcription_operator.cluster import KubernetesClient
from transcription_operator.controller.event_recorder import MAX_WAITING, EventRecorder, render_event
from transcription_operator.reconcile.events import Event

from tests.support.kubernetes_objects import CREATED, SPEC, resource
from tests.support.operator_parts import until
from tests.support.scripted_apiserver import ScriptedApiserver, connected, scripted_apiserver

# Kubernetes' NoteLengthLimit in pkg/apis/core/validation/events.go, in bytes.
NOTE_LIMIT = 1024


def rendered(message: str, name: str = "interview") -> dict[str, Any]:
    return render_event(resource(SPEC, name=name), Event("Warning", "NoSuchKey", message), CREATED)


@pytest.mark.parametrize("message", ["x" * 5000, "ç" * 1024, "🎙" * 1024, "a" + "\N{SNOWMAN}" * 400])
def test_a_long_message_is_cut_between_two_characters_and_says_so(message: str) -> None:
    shown = rendered(message)["message"]
    assert NOTE_LIMIT - 4 < len(shown.encode()) <= NOTE_LIMIT
    assert shown[-1] == "…"
    assert message.startswith(shown[:-1])


def test_a_message_that_fits_is_left_as_it_is() -> None:
    assert rendered("x" * NOTE_LIMIT)["message"] == "x" * NOTE_LIMIT


def test_two_messages_that_differ_only_in_what_is_cut_are_two_events() -> None:
    assert rendered("x" * 5000)["metadata"]["name"] != rendered("x" * 5001)["metadata"]["name"]


def test_the_name_of_an_event_is_valid_wherever_the_name_of_its_resource_is_cut() -> None:
    name = rendered("m", "a" * 229 + ".b" * 10)["metadata"]["name"]
    assert ".." not in name
    assert len(name) <= 253


def flawed(create: Callable[..., Awaitable[None]]) -> Callable[..., Awaitable[None]]:
    """Return a function that fails on the first event as a defect would, and creates the others."""
    failures = [ZeroDivisionError("a defect")]

    async def create_or_fail(client: KubernetesClient, event: dict[str, Any]) -> None:
        if failures:
            raise failures.pop()
        await create(client, event)

    return create_or_fail


async def test_an_event_that_fails_ends_no_other(monkeypatch: pytest.MonkeyPatch) -> None:
    async with scripted_apiserver() as server, connected(server) as connection:
        recorder = EventRecorder(KubernetesClient(connection), lambda: False)
        known = resource(SPEC)
        recorder.record(known, Event("Warning", "Odd", "\ud800"))
        monkeypatch.setattr(KubernetesClient, "create_event", flawed(KubernetesClient.create_event))
        recorder.record(known, Event("Normal", "JobCreated", "created"))
        running = asyncio.create_task(recorder.run())
        await until(lambda: created(server, "JobCreated"))
        assert not running.done()
        running.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await running


async def test_a_queue_that_is_never_empty_holds_up_each_event_and_not_one_after_the_other() -> None:
    """With the 30 s of an operator, 200 events would wait for a hundred minutes, and thousands for ever."""
    async with scripted_apiserver() as server, connected(server) as connection:
        recorder = EventRecorder(KubernetesClient(connection), lambda: True, longest_yield_seconds=0.3)
        for number in range(200):
            recorder.record(resource(SPEC), Event("Normal", "JobCreated", f"created Job {number}"))
        running = asyncio.create_task(recorder.run())
        await asyncio.sleep(0.1)
        assert not server.objects
        await until(lambda: len(server.objects) == 200, seconds=30)
        running.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await running


async def test_many_dropped_events_are_told_in_few_lines(caplog: pytest.LogCaptureFixture) -> None:
    async with scripted_apiserver() as server, connected(server) as connection:
        recorder = EventRecorder(KubernetesClient(connection), lambda: True)
        known = resource(SPEC)
        for number in range(MAX_WAITING + 500):
            recorder.record(known, Event("Normal", "JobCreated", str(number)))
    assert [record.getMessage() for record in caplog.records] == [
        f"{MAX_WAITING} events are waiting; the oldest are dropped"
    ]


def created(server: ScriptedApiserver, reason: str) -> bool:
    return any(item.get("reason") == reason for item in server.objects.values())
