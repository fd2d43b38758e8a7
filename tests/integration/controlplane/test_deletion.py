"""Results are deleted by a Job after their resource, on a real apiserver: no finalizer holds the resource meanwhile."""

from pathlib import Path
from typing import Any

from transcription_api import exit_codes, names, reasons
from transcription_api.report import Report, failure

from tests.support.api_client import Json
from tests.support.controlplane import ControlPlane
from tests.support.operator_process import Operator, operator_alone
from tests.support.simulated_cluster import PATIENCE, Namespace, condition, good_report, until


def deletion_job(namespace: Namespace) -> Json | None:
    """Return the Job of the namespace that deletes results, if there is one."""
    items = namespace.api.items(f"{namespace.jobs}?labelSelector={names.LABEL_PHASE}%3D{names.PHASE_DELETE}")
    return items[0] if items else None


def released(namespace: Namespace) -> Json:
    found: Json = until(lambda: _with_pods(deletion_job(namespace)), "the Job that deletes results", PATIENCE)
    return found


def _with_pods(job: Json | None) -> Json | None:
    return job if job is not None and job["spec"]["parallelism"] == 1 else None


def create(namespace: Namespace, name: str, **spec: Any) -> None:
    namespace.create(name, deletionPolicy="DeleteResults", **spec)


def complete(namespace: Namespace, name: str) -> None:
    namespace.complete(namespace.attempt(name, exit_codes.OK, good_report()))
    namespace.until_phase(name, "Complete")


def test_results_go_with_the_resource_that_somebody_deletes(operator: Operator, namespace: Namespace) -> None:
    create(namespace, "gone")
    complete(namespace, "gone")
    prepared = deletion_job(namespace)
    assert prepared is not None
    assert (prepared["spec"]["parallelism"], "ownerReferences" in prepared["metadata"]) == (0, False)
    namespace.delete("gone")
    assert namespace.api.get(f"{namespace.resources}/gone") is None  # no finalizer holds it
    job = released(namespace)
    namespace.end_pod(namespace.add_pod(job), exit_codes.OK, Report())
    namespace.complete(job)
    until(lambda: deletion_job(namespace) is None, "the Job to go", PATIENCE)
    until(lambda: ("Normal", "ResultsDeleted") in namespace.events(job["metadata"]["name"]), "an event", PATIENCE)


def test_after_the_time_to_live_a_deletion_that_fails_keeps_the_resource_until_one_succeeds(
    operator: Operator, namespace: Namespace
) -> None:
    create(namespace, "kept", ttlSecondsAfterFinished=1)
    complete(namespace, "kept")
    job = released(namespace)
    report = failure(reasons.DESTINATION_DENIED, "S3 answered AccessDenied")
    namespace.end_pod(namespace.add_pod(job), exit_codes.DESTINATION_DENIED, report)
    namespace.fail(job, "PodFailurePolicy")
    status = namespace.until(
        "kept", lambda status: condition(status, "ResultsDeleted").get("reason") == "ResultsNotDeleted", "a failure"
    )
    assert "DestinationDenied: S3 answered AccessDenied" in condition(status, "ResultsDeleted")["message"]
    namespace.api.delete(f"{namespace.jobs}/{job['metadata']['name']}")
    until(
        lambda: (deletion_job(namespace) or job)["metadata"]["uid"] != job["metadata"]["uid"], "another Job", PATIENCE
    )
    namespace.complete(released(namespace))
    until(lambda: namespace.api.get(f"{namespace.resources}/kept") is None, "the resource to go", PATIENCE)


def test_a_resource_that_is_deleted_while_no_operator_runs_loses_its_results_once_one_does(
    plane: ControlPlane, namespace: Namespace, tmp_path: Path
) -> None:
    with operator_alone(plane, namespace.api, tmp_path / "operator.log") as operator:
        create(namespace, "unseen")
        job = namespace.job("unseen")
        operator.kill()
        namespace.delete("unseen")
        namespace.api.delete(f"{namespace.jobs}/{job['metadata']['name']}")  # as the garbage collector does
        operator.start()
        released(namespace)
