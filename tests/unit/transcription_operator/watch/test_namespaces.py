"""A watched namespace that does not exist, or where the operator has no rights, costs nobody else anything."""

import asyncio
from collections.abc import AsyncIterator

import aiohttp
import pytest
from aiohttp import web
from transcription_api import names
from transcription_operator.models.objects import Key
from transcription_operator.observability.health import serve_health
from transcription_operator.watch import resync

from tests.support.controlplane import free_ports
from tests.support.kubernetes_objects import SPEC, config
from tests.support.operator_parts import Parts, until
from tests.support.scripted_apiserver import Fault, ScriptedApiserver, connected, error_response, scripted_apiserver

TEAMS = ("team-a", "team-b", "team-c")


def key(team: str) -> Key:
    return Key(team, "interview")


@pytest.fixture
async def apiserver() -> AsyncIterator[ScriptedApiserver]:
    async with scripted_apiserver() as server:
        for team in TEAMS:
            meta = {"name": "interview", "namespace": team, "uid": f"uid-{team}"}
            path = f"/apis/{names.GROUP}/{names.VERSION}/namespaces/{team}/{names.PLURAL}/interview"
            server.put(path, {"kind": names.KIND, "metadata": meta, "spec": SPEC})
        yield server


@pytest.fixture
async def parts(apiserver: ScriptedApiserver) -> AsyncIterator[Parts]:
    async with connected(apiserver) as connection:
        yield Parts(connection, config(namespaces=",".join(TEAMS)))


def refuse(team: str, code: int = 403, reason: str = "Forbidden") -> Fault:
    return lambda request: error_response(code, reason) if f"/namespaces/{team}/" in request.path else None


@pytest.mark.parametrize("team", TEAMS)
@pytest.mark.parametrize(("code", "reason"), [(403, "Forbidden"), (404, "NotFound"), (500, "InternalError")])
async def test_a_namespace_that_is_refused_is_named_and_the_others_are_listed(
    apiserver: ScriptedApiserver, parts: Parts, team: str, code: int, reason: str
) -> None:
    apiserver.faults.append(refuse(team, code, reason))
    await parts.resync.list_all()
    assert parts.resync.synced.is_set()
    assert list(parts.resync.unavailable) == [team]
    assert reason in parts.resync.unavailable[team]
    assert {item.namespace for item in parts.cache.known_keys()} == set(TEAMS) - {team}


async def test_a_namespace_that_appears_is_listed_and_no_line_is_logged_twice(
    apiserver: ScriptedApiserver, parts: Parts, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(resync, "RETRY_SECONDS", 0.01)
    apiserver.faults.append(refuse("team-b"))
    for _ in range(3):
        await parts.resync.list_all()
    assert [record.levelname for record in caplog.records if "team-b" in record.message] == ["WARNING"]
    apiserver.faults.clear()
    await parts.resync.list_all()
    assert parts.cache.resource(key("team-b")) is not None
    assert parts.resync.unavailable == {}


async def test_only_what_failed_is_listed_again_before_its_time(
    apiserver: ScriptedApiserver, parts: Parts, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(resync, "RETRY_SECONDS", 0.01)
    apiserver.faults.append(refuse("team-b"))
    task = asyncio.create_task(parts.resync.run())
    await until(lambda: apiserver.count("namespaces/team-b/") > 5)
    apiserver.faults.clear()
    await until(lambda: parts.cache.resource(key("team-b")))
    task.cancel()
    assert apiserver.count("namespaces/team-a/") == 2


async def test_without_any_namespace_the_operator_is_not_ready(apiserver: ScriptedApiserver, parts: Parts) -> None:
    apiserver.faults.append(lambda _: error_response(403, "Forbidden"))
    await parts.resync.list_all()
    assert not parts.resync.synced.is_set()
    assert set(parts.resync.unavailable) == set(TEAMS)


async def test_an_apiserver_that_goes_away_between_two_namespaces_leaves_the_list_incomplete(
    apiserver: ScriptedApiserver, parts: Parts
) -> None:
    apiserver.faults.append(lambda request: web.Response(text="bad gateway") if "team-b" in request.path else None)
    assert list(await parts.resync.list_all()) == ["team-b", "team-c"]
    assert not parts.resync.synced.is_set()
    apiserver.faults.clear()
    await parts.resync.list_all()
    assert parts.resync.synced.is_set()


async def test_what_is_known_of_a_namespace_that_is_refused_later_is_kept(
    apiserver: ScriptedApiserver, parts: Parts
) -> None:
    await parts.resync.list_all()
    apiserver.faults.append(refuse("team-b"))
    await parts.resync.list_all()
    assert parts.cache.resource(key("team-b")) is not None


async def test_an_object_that_no_apiserver_can_have_stored_stops_no_other_namespace(
    apiserver: ScriptedApiserver, parts: Parts
) -> None:
    path = f"/apis/{names.GROUP}/{names.VERSION}/namespaces/team-a/{names.PLURAL}/broken"
    apiserver.objects[path] = {"kind": names.KIND, "metadata": {"name": "broken"}}
    await parts.resync.list_all()
    assert {item.namespace for item in parts.cache.known_keys()} >= {"team-b", "team-c"}


async def test_readiness_tells_of_a_namespace_without_failing_for_it(
    apiserver: ScriptedApiserver, parts: Parts
) -> None:
    [port] = free_ports(1)
    apiserver.faults.append(refuse("team-b"))
    await parts.resync.list_all()
    server = await serve_health(port, list, list, lambda: list(parts.resync.unavailable), parts.metrics.registry)
    try:
        async with aiohttp.ClientSession() as session, session.get(f"http://127.0.0.1:{port}/readyz") as response:
            assert (response.status, await response.text()) == (200, "ok\nteam-b")
    finally:
        await server.cleanup()
