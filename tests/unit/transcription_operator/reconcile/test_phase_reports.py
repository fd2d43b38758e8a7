"""What a plan or an account says is believed only if it adds up, and whatever it says stops nobody."""

import copy
import dataclasses
from typing import Any

import pytest
from transcription_api import reasons
from transcription_api.codec import to_json
from transcription_api.report import FileCounts, PlanSummary, Report, failure
from transcription_api.status import Phase

from tests.support.decisions import condition
from tests.support.json_mutations import mutations
from tests.support.many_files import ACCOUNT, PLAN, begun, ended
from tests.support.status_schema import refused_fields


@pytest.mark.parametrize(
    "reason", [reasons.NOTHING_TO_DO, reasons.TOO_MANY_FILES, reasons.MANIFEST_INVALID, reasons.ACCESS_DENIED]
)
def test_a_plan_that_cannot_be_made_fails_the_resource(reason: reasons.Reason) -> None:
    world = begun("plan")
    assert reason.exit_code is not None
    world.end_job("Failed", ended(failure(reason, "words"), reason.exit_code), reason="PodFailurePolicy", failed=1)
    world.settle()
    status = world.parsed()
    assert status.failure is not None
    assert (status.phase, status.failure.reason, status.failure.message) == (Phase.FAILED, reason.name, "words")
    assert world.phases() == ["plan"]


@pytest.mark.parametrize(
    "plan",
    [
        dataclasses.replace(PLAN, files=106),
        dataclasses.replace(PLAN, shards=0),
        dataclasses.replace(PLAN, shards=2**31 - 1),
        PlanSummary(files=0, to_transcribe=0, shards=5),
    ],
)
def test_a_plan_whose_numbers_cannot_be_true_makes_no_job(plan: PlanSummary) -> None:
    world = begun("plan")
    world.play("plan", plan)
    status = world.parsed()
    assert status.failure is not None
    assert (world.phases(), status.failure.reason) == (["plan"], "ResultIncomplete")


@pytest.mark.parametrize(
    "account", [dataclasses.replace(ACCOUNT, done=99), dataclasses.replace(ACCOUNT, done=101, total=106)]
)
def test_an_account_that_does_not_have_every_file_of_the_plan_is_never_complete(account: FileCounts) -> None:
    world = begun("collect", failurePolicy={"maxFailedFiles": "100%"})
    world.play("collect", account=account)
    status = world.parsed()
    assert status.failure is not None
    assert (status.phase, status.failure.reason) == (Phase.FAILED, "ResultIncomplete")


@pytest.mark.parametrize("said", [Report(), Report(files=ACCOUNT), Report(reason=None)])
def test_a_planning_worker_that_says_nothing_of_a_plan_fails_the_resource(said: Any) -> None:
    world = begun("plan")
    world.end_job("Complete", ended(said), succeeded=1)
    world.settle()
    assert world.parsed().failure is not None
    assert condition(world.parsed(), "Failed").reason == "ResultIncomplete"


def test_a_plan_that_is_missing_in_the_status_is_read_again_before_any_shard_is_made() -> None:
    world = begun("plan")
    world.play("plan")
    del world.status["plan"]
    world.settle(20)
    assert world.parsed().plan == PLAN
    assert [job["spec"]["completions"] for job in world.jobs.values()] == [1, 10]


@pytest.mark.parametrize("phase", ["plan", "collect"])
def test_no_change_of_a_plan_or_an_account_makes_a_status_that_the_apiserver_refuses(phase: str) -> None:
    world = begun(phase, failurePolicy={"maxFailedFiles": "100%"})
    said = Report(plan=PLAN) if phase == "plan" else Report(files=ACCOUNT, audio_seconds=5.0)
    world.end_job("Complete", ended(said), succeeded=1)
    (whole,) = world.pods[world.job().name]
    assert whole.terminated is not None
    found = set()
    for text in mutations(to_json(said), 300, seed=2):
        one = copy.deepcopy(world)
        state = dataclasses.replace(whole.terminated, message=text.decode(errors="replace"))
        one.pods[one.job().name] = (dataclasses.replace(whole, terminated=state),)
        one.reconcile()
        status = one.parsed()
        assert refused_fields(one.status) == [], text
        found.add((status.phase, status.failure.reason if status.failure is not None else None))
    assert (Phase.FAILED, "ResultIncomplete") in found
    assert (Phase.PENDING if phase == "plan" else Phase.COMPLETE, None) in found
