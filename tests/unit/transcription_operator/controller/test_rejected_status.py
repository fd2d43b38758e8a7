"""A status that the schema in the cluster refuses is written without what it refuses, once, and the outcome gets through."""

from tests.support.kubernetes_objects import STARTED
from tests.support.operator_parts import Parts, until
from tests.support.scripted_apiserver import ScriptedApiserver, scripted_apiserver
from tests.support.scripted_resource import KEY, PATH, WRITE, complete, condition, running_job, start, stored_status


async def reconciled_again(server: ScriptedApiserver, parts: Parts, times: int = 3) -> int:
    """Reconcile the resource several times; return how often its status was written."""
    written = server.count(WRITE)
    for _ in range(times):
        parts.queue.add(KEY)
        await until(lambda: parts.queue.idle)
    return server.count(WRITE) - written


async def test_the_outcome_is_written_without_the_field_that_a_stricter_schema_refuses() -> None:
    async with scripted_apiserver() as server, running_job(server) as parts:
        server.invalid_fields = lambda status: ["status.device.name"] if "device" in status else []
        complete(server, parts)
        await until(lambda: stored_status(server).get("phase") == "Complete")
        assert condition(server, "Complete")["status"] == "True"
        assert (condition(server, "Degraded")["status"], condition(server, "Degraded")["reason"]) == (
            "True",
            "StatusRejected",
        )
        assert "status.device.name: Invalid value: Too long" in condition(server, "Degraded")["message"]
        assert "device" not in stored_status(server)
        assert (stored_status(server)["language"], len(stored_status(server)["results"])) == ("pt", 2)
        assert await reconciled_again(server, parts) == 0


async def test_the_outcome_alone_is_written_where_nothing_says_which_field_is_refused() -> None:
    allowed = {"observedGeneration", "phase", "conditions", "results"}
    async with scripted_apiserver() as server, running_job(server) as parts:
        server.invalid_fields = lambda status: [""] if status.get("results") or set(status) - allowed else []
        complete(server, parts)
        await until(lambda: stored_status(server).get("phase") == "Complete")
        assert condition(server, "Complete")["reason"] == "ResultsVerified"
        assert condition(server, "Degraded")["reason"] == "StatusRejected"
        assert set(stored_status(server)) <= allowed
        assert await reconciled_again(server, parts) == 0


async def test_a_running_resource_whose_status_is_refused_is_not_written_again_and_ends_complete() -> None:
    async with scripted_apiserver() as server, running_job(server) as parts:
        server.invalid_fields = lambda status: ["status.startTime"] if "startTime" in status else []
        start(server, parts)
        await until(lambda: stored_status(server).get("phase") == "Running")
        assert condition(server, "Degraded")["reason"] == "StatusRejected"
        assert await reconciled_again(server, parts) == 0
        complete(server, parts)
        await until(lambda: stored_status(server).get("phase") == "Complete")
        assert await reconciled_again(server, parts) == 0


async def test_a_status_is_whole_again_once_the_schema_allows_it() -> None:
    async with scripted_apiserver() as server, running_job(server) as parts:
        server.invalid_fields = lambda status: ["status.startTime"] if "startTime" in status else []
        start(server, parts)
        await until(lambda: stored_status(server).get("phase") == "Running")
        server.invalid_fields = lambda _status: []
        complete(server, parts)
        await until(lambda: stored_status(server).get("phase") == "Complete")
        assert stored_status(server)["startTime"] == STARTED
        assert condition(server, "Degraded") == {}


async def test_a_status_of_which_nothing_is_accepted_is_tried_again_after_a_delay() -> None:
    async with scripted_apiserver() as server, running_job(server) as parts:
        server.invalid_fields = lambda _status: ["status.phase"]
        written = server.count(WRITE)
        start(server, parts)
        await until(lambda: parts.errors("Api") >= 3)
        assert server.count(WRITE) - written <= 2 * (parts.errors("Api") + 1)
        server.invalid_fields = lambda _status: []
        await until(lambda: stored_status(server).get("phase") == "Running")


async def test_what_only_a_newer_operator_knows_of_a_status_stays_there() -> None:
    async with scripted_apiserver() as server, running_job(server) as parts:
        known = server.objects[PATH]
        newer = {"speakers": [{"name": "A"}], "precision": {"weights": "int8"}}
        changed = server.put(PATH, known | {"status": known["status"] | newer})
        parts.informer.on_resource_event("MODIFIED", changed)
        complete(server, parts)
        await until(lambda: stored_status(server).get("phase") == "Complete")
        assert {name: stored_status(server).get(name) for name in newer} == newer
        assert await reconciled_again(server, parts) == 0
