"""A Job lets go of its failed pods where they hold up the deletion of the namespace, and nowhere else."""

import dataclasses

import pytest
from transcription_api import exit_codes, names
from transcription_operator.models.objects import PodView
from transcription_operator.reconcile.decide import decide
from transcription_operator.reconcile.namespace_deletion import are_held_back
from transcription_operator.reconcile.plan import Plan

from tests.support.decisions import NOW
from tests.support.kubernetes_objects import config
from tests.support.many_files import begun, ended, running

FAILED = ended(None, exit_codes.INTERRUPTED)
HELD = dataclasses.replace(FAILED, deletion_time="2026-05-01T10:00:00Z")


@pytest.mark.parametrize(
    ("pods", "held"),
    [
        pytest.param((HELD, HELD), True, id="all have failed and are being deleted"),
        pytest.param((), False, id="none"),
        pytest.param((FAILED,), False, id="failed, and deleted by nobody"),
        pytest.param((HELD, running(1)), False, id="one still runs"),
    ],
)
def test_pods_are_held_back_where_all_have_failed_and_are_being_deleted(pods: tuple[PodView, ...], held: bool) -> None:
    job = begun(names.PHASE_TRANSCRIBE).job()
    assert are_held_back(job, pods) is held
    assert not are_held_back(dataclasses.replace(job, active=1), pods)
    assert not are_held_back(begun(names.PHASE_PLAN).job(), pods)


def test_the_job_is_deleted_where_the_namespace_is_ending_and_nothing_else_is_done() -> None:
    world = begun(names.PHASE_TRANSCRIBE)
    observed = dataclasses.replace(world.observe(), pods=(HELD,))
    assert not decide(observed, config(), NOW).delete_jobs
    ending = dataclasses.replace(observed, namespace_ending=True)
    assert decide(ending, config(), NOW) == Plan(delete_jobs=(world.job(),))
