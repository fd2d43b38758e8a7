"""What the apiserver refuses is told in the resource, and sent again at growing intervals; nobody's spec is blamed for it."""

import asyncio
import dataclasses
import json
from datetime import UTC, datetime, timedelta
from typing import Any, cast

import pytest
from transcription_api.codec import to_json
from transcription_api.status import Status
from transcription_operator.cluster import ApiError, Connection
from transcription_operator.cluster.connection import Response
from transcription_operator.models.objects import JobView, Resource
from transcription_operator.models.times import format_time
from transcription_operator.reconcile.stored_status import parse_status

from tests.support.decisions import condition
from tests.support.kubernetes_objects import SPEC, job, resource
from tests.support.many_files import MANY, begun
from tests.support.operator_parts import Parts

Refusal = tuple[int, dict[str, Any]]

QUOTA = 'jobs.batch "interview" is forbidden: exceeded quota: few, requested: count/jobs.batch=1, used: 5, limited: 5'
POLICY = "ValidatingAdmissionPolicy 'team' with binding 'team' denied request: label team is missing"
WEBHOOK = 'admission webhook "rules.example.com" denied the request: label team is missing'
UNCALLABLE = 'Internal error occurred: failed calling webhook "rules.example.com": connection refused'


def refusal(status: int, reason: str, message: str, *causes: dict[str, str]) -> Refusal:
    """Return a response as the apiserver gives it, with a Status object."""
    details = {"name": "interview", "group": "batch", "kind": "Job", "causes": causes}
    return status, {"kind": "Status", "code": status, "reason": reason, "message": message, "details": details}


def invalid(field: str, words: str) -> Refusal:
    """Return the response of the apiserver's own validation."""
    message = f'Job.batch "interview-4a49acf8-1" is invalid: {field}: {words}'
    return refusal(422, "Invalid", message, {"reason": "FieldValueInvalid", "message": words, "field": field})


class Apiserver(Connection):
    """An apiserver that has one resource, and refuses the methods in `refused` on Jobs and resources."""

    def __init__(self, **refused: Refusal) -> None:
        super().__init__(cast(Any, None), lambda: True)
        self.refused = refused
        self.requests: list[str] = []

    async def _send(self, method: str, path: str, body: dict[str, Any] | None, *_: Any) -> Response:
        self.requests.append(f"{method} {path.rpartition('/')[2]}")
        if method in self.refused and not path.endswith("/status"):
            status, answer = self.refused[method]
            return Response(status, json.dumps(answer).encode())
        own = {"uid": "uid-1", "creationTimestamp": "2026-01-01T10:00:00Z"}
        metadata = own | (body or {}).get("metadata", {}) | {"resourceVersion": str(100 * len(self.requests))}
        given = {"kind": "List", "items": []} | (body or {})
        return Response(200, json.dumps(given | {"metadata": metadata, "spec": SPEC}).encode())


class Operator(Parts):
    """The operator's parts with one resource, without watches and without workers."""

    def __init__(self, apiserver: Apiserver, spec: dict[str, Any] | None = None, status: Status | None = None) -> None:
        super().__init__(apiserver)
        self.apiserver = apiserver
        self.spec = SPEC | (spec or {})
        self.reconciler = self.controller.reconciler
        self.recorder = self.reconciler.applier.recorder
        self.key = self.put(resource(self.spec, None if status is None else to_json(status))).key

    def put(self, known: Resource) -> Resource:
        self.cache.put_resource(known)
        return known

    async def reconcile(self) -> Status:
        await self.reconciler.reconcile(self.key)
        written = self.cache.resource(self.key)
        assert written is not None
        # The fake apiserver stores the status alone.
        self.put(dataclasses.replace(written, spec_json=json.dumps(self.spec).encode(), version=written.version + 1))
        return parse_status(written.status_json)

    def events(self) -> list[tuple[str, str]]:
        return [(event["reason"], event["message"]) for _, event in self.recorder._waiting]

    def delay(self) -> float:
        """Return the seconds until the resource is reconciled again."""
        timer = self.queue._timers[self.key]
        return timer.when() - asyncio.get_running_loop().time()


@pytest.mark.parametrize(
    ("answer", "words"),
    [
        (refusal(403, "Forbidden", QUOTA), QUOTA),
        (refusal(403, "Forbidden", 'User "operator" cannot create resource "jobs"'), "cannot create"),
        (refusal(422, "Invalid", f'jobs.batch "x" is forbidden: {POLICY}', {"message": POLICY}), POLICY),
        (refusal(401, "Unauthorized", f'jobs.batch "x" is forbidden: {POLICY}', {"message": POLICY}), POLICY),
        (refusal(413, "RequestEntityTooLarge", f'jobs.batch "x" is forbidden: {POLICY}'), POLICY),
        *((refusal(code, "", WEBHOOK), WEBHOOK) for code in (400, 403, 404, 409, 422, 429, 500)),
        (refusal(409, "AlreadyExists", WEBHOOK), WEBHOOK),
        (refusal(500, "InternalError", UNCALLABLE), UNCALLABLE),
        (refusal(404, "NotFound", 'namespaces "team-a" not found'), "not found"),
        (refusal(400, "BadRequest", "Job in version v1 cannot be handled as a Job"), "cannot be handled"),
        (invalid("spec.template.spec.containers[1].image", "Required value"), "Required value"),
    ],
)
async def test_a_refused_job_is_told_with_the_words_of_the_apiserver(answer: Refusal, words: str) -> None:
    operator = Operator(Apiserver(POST=answer))
    status = await operator.reconcile()
    running = condition(status, "Running")
    assert (running.status, running.reason) == ("False", "JobNotCreated")
    assert words in running.message
    assert status.failure is None
    assert [reason for reason, _ in operator.events()] == ["JobNotCreated"]
    assert operator.apiserver.requests == ["POST jobs", "PUT status"]
    assert 0 < operator.delay() <= 60


@pytest.mark.parametrize(
    "answer",
    [
        refusal(429, "TooManyRequests", "too many requests"),
        refusal(500, "InternalError", "etcdserver: request timed out"),
        refusal(503, "ServiceUnavailable", "apiserver not ready"),
        refusal(504, "Timeout", "request did not complete within the allotted time"),
        refusal(401, "Unauthorized", "Unauthorized"),
    ],
)
async def test_an_apiserver_that_is_busy_is_not_taken_for_one_that_refuses(answer: Refusal) -> None:
    operator = Operator(Apiserver(POST=answer))
    with pytest.raises(ApiError):
        await operator.reconcile()
    assert operator.apiserver.requests == ["POST jobs"]


@pytest.mark.parametrize(
    ("spec", "field", "told"),
    [
        ({"nodeSelector": {"gpu": "!"}}, "spec.template.spec.nodeSelector", "spec.device.nodeSelector"),
        ({"tolerations": [{"key": "!"}]}, "spec.template.spec.tolerations[1].key", "spec.device.tolerations"),
        (
            {"resources": {"requests": {"memory": "9Gi"}}},
            "spec.template.spec.containers[0].resources.requests",
            "spec.device.resources",
        ),
    ],
)
async def test_a_job_that_is_invalid_for_a_value_of_the_spec_fails_and_names_the_specs_field(
    spec: dict[str, Any], field: str, told: str
) -> None:
    status = await Operator(Apiserver(POST=invalid(field, 'Invalid value: "!"')), {"device": spec}).reconcile()
    assert status.failure is not None
    assert (status.failure.reason, status.failure.message) == ("InvalidSpec", f'{told}: Invalid value: "!"')


async def test_a_job_that_a_webhook_made_invalid_is_not_blamed_on_the_spec() -> None:
    # The spec has no selector, so somebody else has set the one that is invalid.
    answer = invalid("spec.template.spec.nodeSelector", 'Invalid value: "!"')
    status = await Operator(Apiserver(POST=answer)).reconcile()
    assert condition(status, "Running").reason == "JobNotCreated"
    assert status.failure is None


async def test_the_pending_deadline_counts_from_the_first_refusal_and_keeps_the_words() -> None:
    operator = Operator(Apiserver(POST=refusal(403, "Forbidden", QUOTA)), {"pendingDeadlineSeconds": 300})
    status = await operator.reconcile()
    assert status.failure is None
    assert (await _later(operator, status, 200)).failure is None
    failed = await _later(operator, status, 301)
    assert failed.failure is not None
    assert failed.failure.reason == "PendingDeadlineExceeded"
    assert failed.failure.message == f"no worker started within 300 s: {QUOTA}"


async def test_time_in_suspension_is_no_part_of_the_pending_deadline_of_a_refused_job() -> None:
    suspended = await Operator(Apiserver(), {"suspend": True}).reconcile()
    operator = Operator(Apiserver(POST=refusal(403, "Forbidden", QUOTA)), {"pendingDeadlineSeconds": 300})
    status = await _later(operator, suspended, 1000)
    assert status.failure is None
    assert condition(status, "Running").reason == "JobNotCreated"
    assert condition(status, "Suspended").status == "False"


async def test_a_job_that_is_refused_for_long_is_tried_less_and_less_often() -> None:
    operator = Operator(Apiserver(POST=refusal(403, "Forbidden", QUOTA)))
    status = await operator.reconcile()
    delays = [operator.delay()]
    for seconds in (60, 3600):
        await _later(operator, status, seconds)
        delays.append(operator.delay())
    assert delays == pytest.approx([3, 15, 60], abs=1.5)


async def test_the_reason_disappears_once_the_job_is_allowed() -> None:
    operator = Operator(Apiserver(POST=refusal(403, "Forbidden", QUOTA)))
    await operator.reconcile()
    operator.apiserver.refused = {}
    assert condition(await operator.reconcile(), "Running").reason == "WaitingForPod"


async def test_a_namespace_that_is_being_deleted_makes_no_noise() -> None:
    message = (
        'jobs.batch "x" is forbidden: unable to create new content in namespace team-a because it is being terminated'
    )
    cause = {"reason": "NamespaceTerminating", "field": "metadata.namespace"}
    answer = refusal(403, "Forbidden", message, cause)
    operator = Operator(Apiserver(POST=answer))
    status = await operator.reconcile()
    assert condition(status, "Running").reason == "NamespaceTerminating"
    assert operator.events() == []


def _running_job() -> JobView:
    return job(active=1, ready=1)


@pytest.mark.parametrize("answer", [refusal(422, "Invalid", POLICY), refusal(409, "Conflict", WEBHOOK)])
async def test_a_suspension_that_a_policy_refuses_is_told_while_the_worker_runs_on(answer: Refusal) -> None:
    operator = Operator(Apiserver(PATCH=answer), {"suspend": True})
    operator.cache.put_job(_running_job())
    status = await operator.reconcile()
    suspended = condition(status, "Suspended")
    assert (suspended.status, suspended.reason) == ("False", "JobNotUpdated")
    assert "denied" in suspended.message
    assert ("JobNotUpdated", suspended.message) in operator.events()
    for _ in range(3):  # as the worker's progress does
        assert await operator.reconcile() == status
    assert [one for one in operator.apiserver.requests if one.startswith("PATCH")] == ["PATCH interview-4a49acf8-1"]


async def test_a_parallelism_that_a_policy_refuses_is_told_while_the_pods_run_on() -> None:
    world = begun("transcribe")
    world.write_job(active=4, ready=4)
    operator = Operator(Apiserver(PATCH=refusal(422, "Invalid", POLICY)), MANY | {"parallelism": 2}, world.parsed())
    for one in world.views():
        operator.cache.put_job(one)
    status = await operator.reconcile()
    assert (condition(status, "Suspended").status, condition(status, "Suspended").message) == ("False", POLICY)
    assert (status.phase, status.failure) == (world.parsed().phase, None)
    assert await operator.reconcile() == status
    assert len([one for one in operator.apiserver.requests if one.startswith("PATCH")]) == 1


async def test_a_resumption_that_a_policy_refuses_is_told_and_tried_again() -> None:
    suspending = Operator(Apiserver(), {"suspend": True})
    suspending.cache.put_job(job(suspend=True))
    operator = Operator(Apiserver(PATCH=refusal(422, "Invalid", POLICY)), status=await suspending.reconcile())
    operator.cache.put_job(job(suspend=True))
    status = await operator.reconcile()
    assert (condition(status, "Running").reason, condition(status, "Running").message) == ("JobNotUpdated", POLICY)
    assert (condition(status, "Suspended").status, status.failure) == ("True", None)
    assert 0 < operator.delay() <= 60


async def test_a_deletion_that_a_policy_refuses_is_told_once_and_tried_again_after_a_minute() -> None:
    ended = await Operator(Apiserver(), {"retries": "three"}).reconcile()
    assert ended.failure is not None
    denied = refusal(422, "Invalid", f'transcriptionjobs "x" is forbidden: {POLICY}')
    operator = Operator(Apiserver(DELETE=denied), {"ttlSecondsAfterFinished": 1}, ended)
    await _later(operator, ended, 60)
    assert operator.apiserver.requests == ["DELETE interview"]
    assert [reason for reason, _ in operator.events()] == ["DeletionRefused"]
    assert operator.delay() == pytest.approx(60, abs=1)


async def _later(operator: Operator, status: Status, seconds: float) -> Status:
    """Reconcile with a stored status whose times are so much older."""
    text = json.dumps(to_json(status))
    for at in {item.last_transition_time for item in status.conditions} | {status.completion_time}:
        if at is not None:
            earlier = datetime.fromisoformat(at).astimezone(UTC) - timedelta(seconds=seconds)
            text = text.replace(at, format_time(earlier))
    known = operator.cache.resource(operator.key)
    assert known is not None
    operator.put(dataclasses.replace(known, status_json=text.encode(), version=known.version + 1))
    return await operator.reconcile()
