"""Requests for what belongs to a Job of many shards ask for no more than is needed."""

from collections.abc import AsyncIterator
from urllib.parse import unquote

import pytest
from transcription_operator.cluster import KubernetesClient

from tests.support.kubernetes_objects import job
from tests.support.scripted_apiserver import ScriptedApiserver, connected, scripted_apiserver

EVENTS = "/api/v1/namespaces/team-a/events"
WORKLOADS = "/apis/kueue.x-k8s.io/v1beta2/namespaces/team-a/workloads"


@pytest.fixture
async def apiserver() -> AsyncIterator[ScriptedApiserver]:
    async with scripted_apiserver() as server:
        yield server


async def test_a_thousand_pods_that_succeeded_are_never_read(apiserver: ScriptedApiserver) -> None:
    async with connected(apiserver) as connection:
        client = KubernetesClient(connection)
        await client.list_pods(job(2, phase="transcribe", shards=1000))
        await client.list_pods(job(1, phase="plan"))
    first, second = (unquote(request) for request in apiserver.requests)
    assert "fieldSelector=status.phase!=Succeeded" in first
    assert "fieldSelector" not in second


async def test_only_the_queues_events_about_the_jobs_own_workload_are_its_words(apiserver: ScriptedApiserver) -> None:
    known = job(2, phase="transcribe", suspend=True)
    for number, name in enumerate((f"job-{known.name}-0ab12", "job-interview-4a49acf8-22-0ab12", "pod-x")):
        event = {"reason": "Pending", "message": name, "lastTimestamp": "2026-01-01T10:00:00Z"}
        apiserver.put(f"{EVENTS}/{number}", event | {"involvedObject": {"kind": "Workload", "name": name}})
    async with connected(apiserver) as connection:
        found = await KubernetesClient(connection).list_queue_events(known)
    assert [event.message for event in found] == [f"job-{known.name}-0ab12"]


async def test_a_queues_words_are_the_conditions_of_the_workload_of_this_job(apiserver: ScriptedApiserver) -> None:
    known = job(2, phase="transcribe", suspend=True)
    missing = {"type": "QuotaReserved", "status": "False", "message": "LocalQueue gpus doesn't exist"}
    apiserver.put(f"{WORKLOADS}/job-{known.name}-0ab12", {"status": {"conditions": [missing]}})
    async with connected(apiserver) as connection:
        assert await KubernetesClient(connection).queue_reason(known) == "LocalQueue gpus doesn't exist"
    assert f"labelSelector=kueue.x-k8s.io/job-uid={known.uid}" in unquote(apiserver.requests[-1])


async def test_a_job_without_a_workload_has_no_words_of_a_queue(apiserver: ScriptedApiserver) -> None:
    async with connected(apiserver) as connection:
        assert await KubernetesClient(connection).queue_reason(job(2, suspend=True)) is None
