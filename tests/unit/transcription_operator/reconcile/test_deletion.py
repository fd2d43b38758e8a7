"""With deletionPolicy DeleteResults a Job without an owner deletes the results: when it is made, released and told of."""

import dataclasses
from datetime import timedelta
from typing import Any

import pytest
from transcription_api import exit_codes, names, reasons
from transcription_api.report import failure
from transcription_api.spec import parse_spec
from transcription_api.status import Status
from transcription_api.task import parse_task
from transcription_operator.manifests.deletion_job import render_deletion_job
from transcription_operator.models.objects import JobView, view_job
from transcription_operator.models.ownership import job_owner
from transcription_operator.reconcile.decide import decide
from transcription_operator.reconcile.deletion import after_the_resource
from transcription_operator.reconcile.observed_state import JobRejection, ObservedState
from transcription_operator.reconcile.plan import Plan

from tests.support.decisions import GOOD, NOW, condition, observe, settled
from tests.support.kubernetes_objects import CREATED, FINISHED, OWNER, SPEC, config, ended_pod, job, pod, resource
from tests.support.many_files import MANY

DELETING = {"deletionPolicy": "DeleteResults", "ttlSecondsAfterFinished": 60}
LATER = NOW + timedelta(hours=1)


def manifest(spec: dict[str, Any] | None = None) -> dict[str, Any]:
    wanted = {**SPEC, **DELETING, **(spec or {})}
    return render_deletion_job(resource(wanted), parse_spec(wanted), config())


def deletion_job(parallelism: int = 0, ended: str | None = None, **meta: Any) -> JobView:
    """Return the Job that deletes, released with a parallelism of 1; `ended` is Complete or Failed."""
    body = manifest()
    known = {"uid": "deletion", "resourceVersion": "9", "creationTimestamp": CREATED}
    words = {"reason": "BackoffLimitExceeded", "message": "no try is left", "lastTransitionTime": FINISHED}
    conditions = [{"type": ended, "status": "True", **words}] if ended else []
    return view_job(
        {
            "metadata": body["metadata"] | known | meta,
            "spec": body["spec"] | {"parallelism": parallelism},
            "status": {"startTime": CREATED, "conditions": conditions},
        }
    )


def finished(spec: dict[str, Any] | None = None) -> Status:
    """Return the status of a resource that was seen to be Complete at `NOW`."""
    complete = job(ended="Complete", succeeded=1)
    status, _ = settled(
        observe(DELETING | (spec or {}), job=complete, pods=(ended_pod(GOOD),), deletion_job=deletion_job())
    )
    return status


def over(deletion: JobView | None, spec: dict[str, Any] | None = None, **what: Any) -> Plan:
    """Return the plan for a finished resource whose time to live is over."""
    observed = observe(DELETING | (spec or {}), finished(), deletion_job=deletion, **what)
    return decide(observed, config(), LATER)


def test_results_of_a_failed_resource_are_deleted_after_the_last_that_its_pods_may_write() -> None:
    """A deadline ended the Job, and the worker finishes what is nearly done in its grace period."""
    spec = DELETING | {"ttlSecondsAfterFinished": 0, "pendingDeadlineSeconds": 10}
    waiting = job(active=1)
    status, plan = settled(observe(spec, job=waiting, pods=(pod(),), deletion_job=deletion_job()))
    assert (status.failure and status.failure.reason, plan.delete_jobs) == ("PendingDeadlineExceeded", (waiting,))
    observed = observe(spec, status, deletion_job=deletion_job())
    early = decide(observed, config(), NOW + timedelta(seconds=39))
    assert early.scale_job is None
    assert early.requeue_after_seconds == pytest.approx(1.0)
    released = decide(observed, config(), NOW + timedelta(seconds=40)).scale_job
    assert released is not None
    assert released[0].deletes_results


# --- it is there before anything is written


@pytest.mark.parametrize("spec", [SPEC, MANY])
def test_the_job_that_deletes_is_created_before_the_first_one_that_may_write(spec: dict[str, Any]) -> None:
    observed = observe(spec | DELETING)
    body = decide(observed, config(), NOW).create_job
    assert body is not None
    assert body["metadata"]["labels"][names.LABEL_PHASE] == names.PHASE_DELETE
    assert body["spec"]["parallelism"] == 0
    assert "suspend" not in body["spec"]
    assert "ownerReferences" not in body["metadata"]
    after = decide(dataclasses.replace(observed, deletion_job=deletion_job()), config(), NOW).create_job
    assert after is not None
    assert after["metadata"]["labels"][names.LABEL_ORDINAL] == "1"


def test_without_the_policy_there_is_no_such_job() -> None:
    body = decide(observe(), config(), NOW).create_job
    assert body is not None
    assert body["metadata"]["labels"][names.LABEL_ORDINAL] == "1"


def test_the_job_is_known_by_its_name_and_labels_and_belongs_to_no_other_resource() -> None:
    meta = manifest()["metadata"]
    assert job_owner(meta) == OWNER
    assert deletion_job().owner == OWNER
    changes: tuple[dict[str, Any], ...] = (
        {"name": "other"},
        {"labels": meta["labels"] | {names.LABEL_UID: "uid-2"}},
        {"labels": {name: value for name, value in meta["labels"].items() if name != names.LABEL_PHASE}},
        {"annotations": {}},
        {"ownerReferences": [{"kind": "Job", "name": "x", "uid": "y", "apiVersion": "batch/v1"}]},
    )
    for change in changes:
        assert job_owner(meta | change) is None


def test_its_worker_has_the_credentials_and_the_task_and_needs_no_gpu_and_no_queue() -> None:
    spec = {**MANY, **DELETING, "queueName": "gpus", "activeDeadlineSeconds": 60, "retries": 0}
    spec["destination"] = {"s3": {"bucket": "transcripts", "credentialsSecretRef": {"name": "writer"}}}
    body = render_deletion_job(resource(spec), parse_spec(spec), config(planner_image="registry.example/operator:1"))
    pod = body["spec"]["template"]["spec"]
    [container] = pod["containers"]
    assert container["image"] == "registry.example/operator:1"
    assert "nvidia.com/gpu" not in str(container["resources"])
    assert [item["name"] for item in pod["volumes"] if "secret" in item] == ["destination-credentials"]
    task = parse_task(next(item["value"] for item in container["env"] if item["name"] == names.ENV_TASK))
    assert (task.phase, task.uid, "deletionPolicy" in task.spec) == (names.PHASE_DELETE, OWNER.uid, False)
    assert names.LABEL_QUEUE not in body["metadata"]["labels"]
    assert "activeDeadlineSeconds" not in body["spec"]
    assert body["spec"]["backoffLimit"] > 10
    rules = body["spec"]["podFailurePolicy"]["rules"]
    assert exit_codes.DESTINATION_DENIED in rules[1]["onExitCodes"]["values"]


def test_a_resource_that_the_settings_refuse_has_no_such_job() -> None:
    spec = dict(SPEC)
    spec["source"] = {"s3": {"bucket": "audio", "key": "a.wav", "endpointURL": "https://elsewhere.example"}}
    observed = observe(spec | DELETING)
    plan = decide(observed, config(allowed_endpoints="*.amazonaws.com"), NOW)
    assert plan.create_job is None
    assert plan.status is not None
    stored = resource({**spec, **DELETING}, None)
    after = ObservedState(stored, plan.status)
    assert decide(after, config(allowed_endpoints="*.amazonaws.com"), LATER).delete_resource


# --- the time to live is over


def test_once_the_time_to_live_is_over_the_job_is_released_and_the_resource_stays_until_it_has_succeeded() -> None:
    released = over(deletion_job())
    assert released.scale_job is not None
    assert released.scale_job[1] == 1
    assert not released.delete_resource
    running = over(deletion_job(1))
    assert running.status is not None
    told = condition(running.status, "ResultsDeleted")
    assert (told.status, told.reason, running.delete_resource) == ("False", "DeletingResults", False)
    done = over(deletion_job(1, "Complete"))
    assert done.delete_resource
    assert done.status is None


def test_before_that_nothing_is_released() -> None:
    observed = observe(DELETING, finished(), deletion_job=deletion_job())
    plan = decide(observed, config(), NOW + timedelta(seconds=30))
    assert (plan.scale_job, plan.delete_resource, plan.requeue_after_seconds) == (None, False, 30.0)


def test_pods_of_the_work_end_before_results_are_deleted() -> None:
    unfinished = job()
    plan = over(deletion_job(), jobs=(unfinished,))
    assert (plan.scale_job, plan.delete_jobs, plan.delete_resource) == (None, (unfinished,), False)
    assert plan.requeue_after_seconds is not None


def test_a_deletion_that_fails_is_told_once_and_the_resource_stays() -> None:
    report = failure(reasons.DESTINATION_DENIED, "spec.destination.s3: 'out/a.txt': S3 answered AccessDenied")
    pods = (ended_pod(report, exit_codes.DESTINATION_DENIED),)
    observed = observe(DELETING, finished(), deletion_job=deletion_job(1, "Failed"), deletion_pods=pods)
    plan = decide(observed, config(), LATER)
    assert plan.status is not None
    told = condition(plan.status, "ResultsDeleted")
    assert (told.status, told.reason) == ("False", "ResultsNotDeleted")
    assert "DestinationDenied: spec.destination.s3: 'out/a.txt'" in told.message
    assert deletion_job().name in told.message
    assert not plan.delete_resource
    assert [event.reason for event in plan.events] == ["ResultsNotDeleted"]
    again = decide(dataclasses.replace(observed, status=plan.status), config(), LATER + timedelta(hours=1))
    assert (again.status, again.events, again.delete_resource) == (None, (), False)


def test_whoever_deletes_the_failed_job_has_another_one_try() -> None:
    plan = over(None)
    assert plan.create_job is not None
    assert plan.create_job["metadata"]["name"] == deletion_job().name


def test_a_job_that_the_apiserver_does_not_create_is_told_and_tried_again_and_the_resource_stays() -> None:
    refused = JobRejection(reasons.JOB_NOT_CREATED, "exceeded quota: jobs")
    plan = over(None, rejection=refused)
    assert plan.status is not None
    assert condition(plan.status, "ResultsDeleted").message == "exceeded quota: jobs"
    assert plan.requeue_after_seconds is not None
    assert not plan.delete_resource


# --- the policy changes


def test_results_that_are_to_be_kept_after_all_have_no_such_job_any_more_before_the_status_says_so() -> None:
    observed = observe({"deletionPolicy": "Keep"}, finished(), deletion_job=deletion_job())
    plan = decide(observed, config(), NOW)
    assert (plan.delete_jobs, plan.status) == ((deletion_job(),), None)
    assert plan.requeue_after_seconds is not None


def test_a_running_resource_that_gets_the_policy_gets_the_job_and_goes_on() -> None:
    observed = observe(DELETING, job=job(active=1))
    assert decide(observed, config(), NOW).create_job is not None
    refused = dataclasses.replace(observed, rejection=JobRejection(reasons.JOB_NOT_CREATED, "exceeded quota: jobs"))
    plan = decide(refused, config(), NOW)
    assert plan.status is not None
    assert condition(plan.status, "ResultsDeleted").reason == "ResultsNotDeleted"
    assert condition(plan.status, "Running").reason == "WaitingForPod"
    later = dataclasses.replace(observed, status=plan.status, deletion_job=deletion_job())
    status = decide(later, config(), NOW).status
    assert status is not None
    assert not [item for item in status.conditions if item.type == "ResultsDeleted"]


# --- the resource is gone


def test_the_job_of_a_resource_that_is_gone_is_released_once_nothing_of_it_writes_any_more() -> None:
    waiting = deletion_job()
    assert after_the_resource(waiting, (job(),), writers=False, pods=()).scale_job is None
    assert after_the_resource(waiting, (), writers=True, pods=()).scale_job is None
    assert after_the_resource(waiting, (), writers=True, pods=()).requeue_after_seconds is not None
    assert after_the_resource(waiting, (job(ended="Complete"),), writers=False, pods=()).scale_job == (waiting, 1)


def test_a_job_that_deletes_already_is_left_alone() -> None:
    assert after_the_resource(deletion_job(1), (), writers=False, pods=()) == Plan()
    leaving = deletion_job(1, "Complete", deletionTimestamp=FINISHED)
    assert after_the_resource(leaving, (), writers=False, pods=()) == Plan()


def test_after_the_results_the_job_goes_and_one_that_failed_stays_and_is_told() -> None:
    complete, failed = deletion_job(1, "Complete"), deletion_job(1, "Failed")
    done = after_the_resource(complete, (), writers=False, pods=())
    assert (done.delete_jobs, [event.type for event in done.events]) == ((complete,), ["Normal"])
    left = after_the_resource(failed, (), writers=False, pods=(ended_pod(None, exit_codes.UNREACHABLE),))
    assert left.delete_jobs == ()
    assert [(event.type, event.reason) for event in left.events] == [("Warning", "ResultsNotDeleted")]
    gone = after_the_resource(failed, (), writers=False, pods=())
    assert "BackoffLimitExceeded" in gone.events[0].message
