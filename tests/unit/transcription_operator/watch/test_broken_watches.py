"""A watch goes on at once whatever the apiserver, or something in its place, answers; it is never left for dead."""

import asyncio
import contextlib
import json
import logging
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import Any

import pytest
from aiohttp import web
from transcription_api import names
from transcription_operator.models.objects import Key
from transcription_operator.watch.informer import Informer
from transcription_operator.watch.informer_cache import InformerCache
from transcription_operator.watch.kopf_watches import run_watches
from transcription_operator.watch.liveness import WatchLiveness
from transcription_operator.work_queue import WorkQueue

from tests.support.kubernetes_objects import SPEC, config
from tests.support.operator_parts import until
from tests.support.scripted_apiserver import (
    ScriptedApiserver,
    error_body,
    error_response,
    scripted_apiserver,
    write_kubeconfig,
)

RESOURCES = f"/apis/{names.GROUP}/{names.VERSION}/namespaces/team-a/{names.PLURAL}"


class Watching:
    """Kopf's watches on a scripted apiserver, and what they have shown."""

    def __init__(self, apiserver: ScriptedApiserver) -> None:
        self.apiserver = apiserver
        self.task: asyncio.Task[None] | None = None
        self.cache = InformerCache()
        queue: WorkQueue[Key] = WorkQueue()
        self.informer = Informer(config(), self.cache, queue, WatchLiveness())

    def create(self, name: str) -> None:
        meta = {"name": name, "namespace": "team-a"}
        self.apiserver.put(f"{RESOURCES}/{name}", {"kind": names.KIND, "metadata": meta, "spec": SPEC})

    async def until(self, there: Callable[[], Any]) -> None:
        """Wait for a condition, while the watches run."""

        def alive() -> Any:
            assert self.task is None or not self.task.done(), "the watches have ended"
            return there()

        await until(alive)

    async def until_shown(self, name: str) -> None:
        await self.until(lambda: self.cache.resource(Key("team-a", name)))

    async def until_watching(self) -> None:
        await self.until(lambda: self.apiserver.watches(names.PLURAL) and self.apiserver.watches("jobs"))

    @contextlib.asynccontextmanager
    async def running(self) -> AsyncIterator[None]:
        self.task = asyncio.create_task(run_watches(config(), self.informer))
        try:
            yield
            assert not self.task.done()
        finally:
            self.task.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await self.task


@pytest.fixture
async def watching(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Watching]:
    async with scripted_apiserver() as server:
        monkeypatch.setenv("KUBECONFIG", str(write_kubeconfig(server, tmp_path, token="first")))
        yield Watching(server)


def error_event(status: Any) -> dict[str, Any]:
    return {"type": "ERROR", "object": status}


STREAMS: dict[str, Any] = {
    "an internal error": error_event(error_body(500, "InternalError", "etcdserver: no leader")),
    "a timeout": error_event(error_body(504, "Timeout", "")),
    "too many requests": error_event(error_body(429, "TooManyRequests", "")),
    "rights that are gone": error_event(error_body(403, "Forbidden", "")),
    "a version that is too old": error_event(error_body(410, "Expired", "")),
    "an error without a code": error_event({"kind": "Status", "message": "?"}),
    "an error that is a text": error_event("?"),
    "a page": b"<html>bad gateway</html>\n",
    "half a line": b'{"type":"ADDED","object":{"metadata":{}\n',
    "half a line at the end": b'{"type":"ADDED","object":{"meta',
    "a list": b"[]\n",
    "an event without an object": b'{"type":"ADDED"}\n',
    "no text": b'{"type":"\xff\xfe"}\n',
}


@pytest.mark.parametrize("name", STREAMS)
async def test_a_watch_that_shows_something_else_is_started_again_at_once(watching: Watching, name: str) -> None:
    async with watching.running():
        await watching.until_watching()
        watching.create("before")
        await watching.until_shown("before")
        watching.apiserver.tell(f"{RESOURCES}/any", STREAMS[name])
        watching.apiserver.tell(f"{RESOURCES}/any", b"")
        await watching.until(lambda: watching.apiserver.watches(names.PLURAL) == 0)
        watching.create("after")
        await watching.until_shown("after")


ANSWERS: dict[str, Callable[[], web.Response]] = {
    "401": lambda: error_response(401, "Unauthorized"),
    "403": lambda: error_response(403, "Forbidden"),
    "404": lambda: error_response(404, "NotFound"),
    "410": lambda: error_response(410, "Expired"),
    "400": lambda: error_response(400, "BadRequest"),
    "429": lambda: error_response(429, "TooManyRequests", {"Retry-After": "0"}),
    "500": lambda: error_response(500, "InternalError"),
    "a page": lambda: web.Response(text="<html>sign in</html>", content_type="text/html"),
    "nothing": lambda: web.Response(text="", content_type="application/json"),
    "another object": lambda: web.json_response({"kind": "Status", "status": "Success"}),
}


@pytest.mark.parametrize("request_kind", ["list", "watch"])
@pytest.mark.parametrize("name", ANSWERS)
async def test_a_request_of_a_watch_that_is_answered_with_something_else_is_sent_again(
    watching: Watching, name: str, request_kind: str
) -> None:
    times = 1

    def answer(request: web.Request) -> web.Response | None:
        nonlocal times
        is_list = request.path.endswith(names.PLURAL) and "watch" not in request.query
        is_watch = request.path.endswith(names.PLURAL) and "watch" in request.query
        if times == 0 or not (is_list if request_kind == "list" else is_watch):
            return None
        times -= 1
        return ANSWERS[name]()

    watching.apiserver.faults.append(answer)
    async with watching.running():
        await watching.until(lambda: times == 0)
        await watching.until_watching()
        watching.create("after")
        await watching.until_shown("after")


async def test_a_list_that_expires_between_two_pages_is_begun_again(watching: Watching) -> None:
    watching.create("one")
    expired = False

    def expire(request: web.Request) -> web.Response | None:
        nonlocal expired
        if expired or not request.path.endswith(names.PLURAL):
            return None
        if "continue" in request.query:
            expired = True
            return error_response(410, "Expired")
        return web.json_response({"kind": "List", "metadata": {"resourceVersion": "5", "continue": "t"}, "items": []})

    watching.apiserver.faults.append(expire)
    async with watching.running():
        await watching.until_shown("one")


@pytest.mark.parametrize("event", [b"", STREAMS["an internal error"], STREAMS["a version that is too old"]])
async def test_watches_that_end_at_once_again_and_again_are_started_less_and_less_often(
    watching: Watching, event: bytes | dict[str, Any]
) -> None:
    """A proxy that cuts every stream, or an apiserver whose watch cache is broken, is not flooded."""

    async def end_all() -> None:
        while True:
            watching.apiserver.tell(f"{RESOURCES}/any", event)
            await asyncio.sleep(0.005)

    async with watching.running():
        await watching.until_watching()
        before = len(watching.apiserver.requests)
        ending = asyncio.create_task(end_all())
        await asyncio.sleep(1.5)
        ending.cancel()
        assert 2 <= len(watching.apiserver.requests) - before <= 16


@pytest.mark.parametrize("text", ["{ and {", "}}}", "häß", "plain"])
@pytest.mark.parametrize("separators", [(",", ":"), (", ", ": ")])
async def test_an_event_reaches_the_cache_without_a_new_list_whatever_its_text(
    watching: Watching, text: str, separators: tuple[str, str]
) -> None:
    async with watching.running():
        await watching.until_watching()
        lists = watching.apiserver.count("limit=")
        meta = {"name": "one", "namespace": "team-a", "uid": "1", "resourceVersion": "500"}
        meta |= {"creationTimestamp": "2026-01-01T10:00:00Z", "annotations": {"note": text}}  # type: ignore[dict-item]
        body = {"apiVersion": names.API_VERSION, "kind": names.KIND, "metadata": meta, "spec": SPEC}
        line = json.dumps({"type": "ADDED", "object": body}, separators=separators, ensure_ascii=False)
        watching.apiserver.tell(f"{RESOURCES}/one", line.encode()[:40])
        watching.apiserver.tell(f"{RESOURCES}/one", line.encode()[40:] + b"\n")
        await watching.until_shown("one")
        assert watching.apiserver.count("limit=") == lists


async def test_a_token_that_is_renewed_is_used_for_the_next_request(watching: Watching, tmp_path: Path) -> None:
    """The kubelet renews a pod's token, and the old one expires."""
    tokens: list[str | None] = []

    def look(request: web.Request) -> None:
        tokens.append(request.headers.get("Authorization"))

    watching.apiserver.faults.append(look)
    async with watching.running():
        await watching.until_watching()
        write_kubeconfig(watching.apiserver, tmp_path, token="renewed")
        watching.apiserver.tell(f"{RESOURCES}/any", b"")
        await watching.until(lambda: tokens[-1] == "Bearer renewed")
    assert tokens[0] == "Bearer first"


async def test_a_namespace_that_is_refused_for_long_is_logged_once(
    watching: Watching, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO, "transcription_operator")
    watching.apiserver.faults.append(
        lambda request: error_response(403, "Forbidden") if request.path.endswith(names.PLURAL) else None
    )
    async with watching.running():
        await watching.until(lambda: watching.apiserver.count(names.PLURAL) >= 3)
        watching.apiserver.faults.clear()
        await watching.until_watching()
    told = [record.levelname for record in caplog.records if record.name.startswith("transcription_operator")]
    assert told == ["WARNING", "INFO"]
