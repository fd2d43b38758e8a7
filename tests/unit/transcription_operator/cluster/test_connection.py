"""Whatever answers in the apiserver's place is an error that the operator survives; the apiserver's own words count."""

from collections.abc import AsyncIterator

import pytest
from aiohttp import web
from transcription_operator.cluster import ApiError, Connection, KubernetesClient, LeaseLock, UnreachableError
from transcription_operator.models.objects import Key

from tests.support.kubernetes_objects import job
from tests.support.scripted_apiserver import ScriptedApiserver, connected, error_response, scripted_apiserver

PATH = "/apis/batch/v1/namespaces/team-a/jobs"


@pytest.fixture
async def apiserver() -> AsyncIterator[ScriptedApiserver]:
    async with scripted_apiserver() as server:
        yield server


@pytest.fixture
async def connection(apiserver: ScriptedApiserver) -> AsyncIterator[Connection]:
    async with connected(apiserver) as connection:
        yield connection


@pytest.mark.parametrize("text", ["<html>please sign in</html>", "", '"a string"', "[]", '{"error": "not today"}'])
async def test_a_proxy_that_answers_for_the_apiserver_is_an_apiserver_out_of_reach(
    apiserver: ScriptedApiserver, connection: Connection, text: str
) -> None:
    apiserver.faults.append(lambda _: web.Response(text=text, content_type="text/html"))
    with pytest.raises(UnreachableError, match="status 200"):
        await connection.request("GET", PATH)


async def test_an_error_with_a_status_of_success_is_an_apiserver_out_of_reach(
    apiserver: ScriptedApiserver, connection: Connection
) -> None:
    """Nothing that reads an object of the response, as leader election does, would find it there."""
    failed = {"kind": "Status", "apiVersion": "v1", "metadata": {}, "status": "Failure", "message": "no", "code": 503}
    apiserver.faults.append(lambda _: web.json_response(failed))
    with pytest.raises(UnreachableError, match="status 200 and an error: no"):
        await LeaseLock(connection, "team-a", "lease").read()


@pytest.mark.parametrize("body", [{"kind": "List"}, {"kind": "List", "metadata": {}, "items": "none"}])
async def test_a_list_without_items_is_an_apiserver_out_of_reach(
    apiserver: ScriptedApiserver, connection: Connection, body: dict[str, object]
) -> None:
    apiserver.faults.append(lambda _: web.json_response(body))
    with pytest.raises(UnreachableError):
        async for _ in KubernetesClient(connection).list_jobs("team-a"):
            pass


async def test_a_list_whose_items_are_null_is_empty(apiserver: ScriptedApiserver, connection: Connection) -> None:
    apiserver.faults.append(lambda _: web.json_response({"kind": "List", "metadata": {}, "items": None}))
    assert [page async for page in KubernetesClient(connection).list_jobs("team-a")] == [[]]


@pytest.mark.parametrize("question", ["list_job_events", "list_queue_events", "queue_reason"])
async def test_what_others_say_of_a_job_is_read_from_a_list_like_any_other(
    apiserver: ScriptedApiserver, connection: Connection, question: str
) -> None:
    read = getattr(KubernetesClient(connection), question)
    apiserver.faults.append(lambda _: web.json_response({"kind": "List", "metadata": {}, "items": None}))
    assert not await read(job(2, suspend=True))
    apiserver.faults[:] = [lambda _: web.json_response({"kind": "List", "metadata": {}})]
    with pytest.raises(UnreachableError, match="without items"):
        await read(job(2, suspend=True))


async def test_a_list_whose_token_has_expired_is_begun_again(
    apiserver: ScriptedApiserver, connection: Connection
) -> None:
    """The apiserver forgets the snapshot of a list after some minutes, so that a slow list would never end."""
    for name in ("one", "two"):
        apiserver.put(f"{PATH}/{name}", {"kind": "Job", "metadata": {"name": name, "namespace": "team-a"}})

    def expire(request: web.Request) -> web.Response | None:
        if "continue" in request.query:
            return error_response(410, "Expired")
        if "limit" not in request.query:
            return None
        first = [apiserver.objects[f"{PATH}/one"]]
        return web.json_response(
            {"kind": "List", "metadata": {"resourceVersion": "5", "continue": "t"}, "items": first}
        )

    apiserver.faults.append(expire)
    seen = [one.name async for jobs in KubernetesClient(connection).list_jobs("team-a") for one in jobs]
    assert seen == ["one", "one", "two"]


@pytest.mark.parametrize(("said", "seconds"), [("7", 7.0), ("0.5", 0.5), ("soon", None), ("-3", None), ("1e9", 60.0)])
async def test_an_error_tells_after_how_many_seconds_the_apiserver_wants_to_be_asked_again(
    apiserver: ScriptedApiserver, connection: Connection, said: str, seconds: float | None
) -> None:
    apiserver.faults.append(lambda _: web.Response(status=429, text="too many requests", headers={"Retry-After": said}))
    with pytest.raises(ApiError) as caught:
        await connection.request("GET", PATH)
    assert caught.value.retry_after == seconds


async def test_a_missing_object_is_none(connection: Connection) -> None:
    assert await KubernetesClient(connection).get_resource(Key("team-a", "nobody")) is None


async def test_each_request_is_told_of_with_its_status_and_one_without_a_response_with_none(
    apiserver: ScriptedApiserver, connection: Connection
) -> None:
    told: list[tuple[str, int]] = []
    connection.on_request = lambda method, status: told.append((method, status))
    with pytest.raises(ApiError):
        await connection.request("GET", f"{PATH}/missing")
    apiserver.faults.append(lambda _: error_response(409, "Conflict"))
    with pytest.raises(ApiError):
        await connection.request("POST", PATH, {"kind": "Job"})
    url, apiserver.url = apiserver.url, "http://127.0.0.1:9"
    async with connected(apiserver) as nobody:
        nobody.on_request = connection.on_request
        with pytest.raises(UnreachableError):
            await nobody.request("GET", PATH)
    apiserver.url = url
    assert told == [("GET", 404), ("POST", 409), ("GET", 0)]
