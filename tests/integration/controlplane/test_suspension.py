"""Resources are suspended by their spec, held by a queue and resumed."""

import pytest
from transcription_api import exit_codes, names

from tests.support.simulated_cluster import Namespace, condition, good_report

pytestmark = pytest.mark.usefixtures("operator")


def test_a_resource_suspended_from_the_start_makes_no_job_until_it_is_resumed(namespace: Namespace) -> None:
    namespace.create("later", suspend=True)
    status = namespace.until_phase("later", "Suspended")
    assert condition(status, "Suspended")["reason"] == "SuspendedBySpec"
    assert namespace.jobs_of("later") == []
    namespace.change("later", suspend=False)
    status = namespace.until_running("later", "False", "WaitingForPod")
    assert condition(status, "Suspended")["status"] == "False"
    assert namespace.job("later")["spec"]["suspend"] is False


def test_suspending_a_running_job_suspends_the_job_itself_and_resuming_goes_on_with_it(namespace: Namespace) -> None:
    namespace.create("paused")
    job = namespace.job("paused")
    namespace.change("paused", suspend=True)
    namespace.until_phase("paused", "Suspended")
    assert namespace.job("paused")["spec"]["suspend"] is True
    assert names.ANNOTATION_SUSPENDED in namespace.job("paused")["metadata"]["annotations"]
    namespace.change("paused", suspend=False)
    status = namespace.until_running("paused", "False", "WaitingForPod")
    assert status["phase"] == "Pending"
    [same] = namespace.jobs_of("paused")
    assert same["metadata"]["uid"] == job["metadata"]["uid"]
    assert same["spec"]["suspend"] is False
    assert names.ANNOTATION_SUSPENDED not in same["metadata"]["annotations"]


def test_a_job_that_a_queue_evicts_although_none_is_named_is_left_to_it(namespace: Namespace) -> None:
    namespace.create("evicted")
    job = namespace.job("evicted")
    namespace.until_running("evicted", "False", "WaitingForPod")
    path = f"{namespace.jobs}/{job['metadata']['name']}"
    namespace.api.patch(path, {"spec": {"suspend": True}})
    namespace.until_running("evicted", "False", "WaitingForQueue")
    assert namespace.job("evicted")["spec"]["suspend"] is True
    namespace.api.patch(path, {"spec": {"suspend": False}})
    status = namespace.until_running("evicted", "False", "WaitingForPod")
    assert (status["jobRef"]["ordinal"], status["attempt"]) == (1, 1)
    # Whoever suspends Jobs resumes them too, so that spec.suspend deletes one of theirs.
    namespace.api.patch(path, {"spec": {"suspend": True}})
    namespace.until_running("evicted", "False", "WaitingForQueue")
    namespace.change("evicted", suspend=True)
    namespace.until_phase("evicted", "Suspended")
    namespace.until("evicted", lambda _: namespace.jobs_of("evicted") == [], "no Job")


def test_a_job_with_a_queue_waits_for_it_and_runs_once_it_is_admitted(namespace: Namespace) -> None:
    namespace.create("queued", queueName="gpus")
    status = namespace.until_running("queued", "False", "WaitingForQueue")
    assert (status["phase"], condition(status, "Suspended")["reason"]) == ("Pending", "WaitingForQueue")
    job = namespace.job("queued")
    assert job["metadata"]["labels"][names.LABEL_QUEUE] == "gpus"
    assert job["spec"]["suspend"] is True
    # Kueue admits: it places the pods and resumes the Job.
    changes = {"suspend": False, "template": {"spec": {"nodeSelector": {"pool": "a100"}}}}
    namespace.api.patch(f"{namespace.jobs}/{job['metadata']['name']}", {"spec": changes})
    status = namespace.until_running("queued", "False", "WaitingForPod")
    assert condition(status, "Suspended") | {"lastTransitionTime": ""} == {
        "type": "Suspended",
        "status": "False",
        "reason": "Resumed",
        "message": "the Job may run",
        "observedGeneration": 1,
        "lastTransitionTime": "",
    }
    admitted = namespace.job("queued")
    namespace.complete(namespace.attempt("queued", exit_codes.OK, good_report()))
    namespace.until_phase("queued", "Complete")
    assert namespace.job("queued")["spec"]["template"] == admitted["spec"]["template"]  # never applied anew


def test_suspending_a_job_with_a_queue_deletes_it_and_resuming_makes_the_next(namespace: Namespace) -> None:
    namespace.create("yielding", queueName="gpus")
    namespace.until_running("yielding", "False", "WaitingForQueue")
    namespace.change("yielding", suspend=True)
    status = namespace.until_phase("yielding", "Suspended")
    assert condition(status, "Suspended")["reason"] == "SuspendedBySpec"
    namespace.until("yielding", lambda _: namespace.jobs_of("yielding") == [], "no Job")
    namespace.change("yielding", suspend=False)
    assert namespace.job("yielding", 2)["spec"]["suspend"] is True
    namespace.until("yielding", lambda status: status["jobRef"]["ordinal"] == 2, "second Job")
    assert ("Warning", "JobLost") not in namespace.events("yielding")
