"""The clock of the operator's node decides nothing: not when a wait is over, nor what a status and an event say."""

from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime
from typing import Any

import pytest
from transcription_api import names
from transcription_operator.models.objects import Key, Owner
from transcription_operator.models.times import format_time, seconds_between

from tests.support.kubernetes_objects import SPEC, owned_job_meta
from tests.support.operator_parts import Parts, until
from tests.support.scripted_apiserver import ScriptedApiserver, connected, scripted_apiserver

RESOURCE = f"/apis/{names.GROUP}/{names.VERSION}/namespaces/team-a/{names.PLURAL}/interview"
WRONG_BY_TEN_MINUTES = pytest.mark.parametrize("minutes", [-10, 10])


@pytest.fixture
async def apiserver() -> AsyncIterator[ScriptedApiserver]:
    async with scripted_apiserver() as server:
        yield server


def set_clock(apiserver: ScriptedApiserver, minutes: int) -> datetime:
    """Set the apiserver's clock so that the operator's is ahead of it by some minutes; return its time."""
    now = datetime.now(UTC) - timedelta(minutes=minutes)
    apiserver.headers["Date"] = format_datetime(now, usegmt=True)
    return now


def put(apiserver: ScriptedApiserver, created: datetime, spec: dict[str, Any], status: dict[str, Any]) -> None:
    meta = {"name": "interview", "namespace": "team-a", "generation": 1, "creationTimestamp": format_time(created)}
    apiserver.put(RESOURCE, {"kind": names.KIND, "metadata": meta, "spec": SPEC | spec, "status": status})


def finished(ended: datetime) -> dict[str, Any]:
    done = {"type": "Complete", "status": "True", "reason": "ResultsVerified", "message": "", "observedGeneration": 1}
    done["lastTransitionTime"] = format_time(ended)
    return {"phase": "Complete", "conditions": [done], "completionTime": format_time(ended), "observedGeneration": 1}


async def reconcile_once(apiserver: ScriptedApiserver) -> None:
    async with connected(apiserver) as connection:
        parts = Parts(connection)
        async with parts.working():
            await parts.resync.list_all()
            await until(lambda: parts.queue.idle)
        assert parts.errors("Defect") == 0


async def test_an_operator_whose_clock_is_ahead_does_not_delete_a_resource_early(apiserver: ScriptedApiserver) -> None:
    now = set_clock(apiserver, 10)
    put(apiserver, now, {"ttlSecondsAfterFinished": 300}, finished(now - timedelta(seconds=60)))
    await reconcile_once(apiserver)
    assert RESOURCE in apiserver.objects


async def test_an_operator_whose_clock_is_behind_deletes_a_resource_in_time(apiserver: ScriptedApiserver) -> None:
    now = set_clock(apiserver, -10)
    put(apiserver, now, {"ttlSecondsAfterFinished": 300}, finished(now - timedelta(seconds=301)))
    await reconcile_once(apiserver)
    assert RESOURCE not in apiserver.objects


@WRONG_BY_TEN_MINUTES
async def test_an_operator_whose_clock_is_wrong_stamps_a_failure_with_the_apiservers_time(
    apiserver: ScriptedApiserver, minutes: int
) -> None:
    now = set_clock(apiserver, minutes)
    put(apiserver, now, {"model": {"cache": {"type": "Node"}}}, {})
    await reconcile_once(apiserver)
    status = apiserver.objects[RESOURCE]["status"]
    assert status["phase"] == "Failed"
    assert abs(seconds_between(status["completionTime"], now)) < 5


@WRONG_BY_TEN_MINUTES
async def test_an_operator_whose_clock_is_wrong_gives_a_pod_its_whole_time_to_start_and_no_more(
    apiserver: ScriptedApiserver, minutes: int
) -> None:
    """The apiserver created the Job a minute ago, and the pod has never come."""
    now = set_clock(apiserver, minutes)
    created = now - timedelta(seconds=60)
    for limit, phase in ((90, "Pending"), (30, "Failed")):
        put(apiserver, created, {"pendingDeadlineSeconds": limit}, {})
        meta = owned_job_meta(Owner(Key("team-a", "interview"), "uid-of-interview"))
        job = meta | {"creationTimestamp": format_time(created)}
        path = f"/apis/batch/v1/namespaces/team-a/jobs/{job['name']}"
        apiserver.put(path, {"kind": "Job", "metadata": job, "spec": {}, "status": {"startTime": format_time(created)}})
        await reconcile_once(apiserver)
        assert apiserver.objects[RESOURCE]["status"]["phase"] == phase
        apiserver.objects.clear()
