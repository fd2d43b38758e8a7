"""Plans have names, and a sample is the same for the same seed."""

import pytest

from tests.faults.actions import WATCH_ACTIONS, WRITE_ACTIONS
from tests.faults.lives import LIVES
from tests.faults.plans import EVENT_ACTIONS, SEED, Plan, parse_plan, plans_of, sample
from tests.support.seeds import seed_of_run


@pytest.mark.parametrize("plan", [Plan("retry"), *plans_of("retry", 1, 1, 1)], ids=str)
def test_a_plan_is_read_from_its_name(plan: Plan) -> None:
    assert parse_plan(str(plan)) == plan


@pytest.mark.parametrize("text", ["retry/write-3", "retry/write/500", "retry/write-x/500"])
def test_a_name_that_is_no_plans_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match=r"."):
        parse_plan(text)


def test_each_write_event_and_watch_event_meets_each_action_that_suits_it() -> None:
    plans = plans_of("complete", writes=2, events=3, watched=4)
    assert len(set(plans)) == len(plans)
    assert len(plans) == 2 * len(WRITE_ACTIONS) + 3 * len(EVENT_ACTIONS) + 4 * len(WATCH_ACTIONS)
    assert {plan.number for plan in plans if plan.kind == "watch"} == {1, 2, 3, 4}


def test_a_seed_names_a_sample_and_another_seed_another_one() -> None:
    plans = [plan for life in LIVES for plan in plans_of(life, 5, 2, 10)]
    chosen = sample(plans, 20, "1")
    assert chosen == sample(plans, 20, "1")
    assert chosen != sample(plans, 20, "2")
    assert len({*chosen}) == 20


def test_a_sample_of_more_than_there_are_has_all() -> None:
    assert sorted(sample([1, 2, 3], 9, "1")) == [1, 2, 3]


def test_the_seed_is_the_commit_unless_one_is_given(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(SEED, "")
    assert len(seed_of_run(SEED)) == 40
    monkeypatch.setenv(SEED, "one")
    assert seed_of_run(SEED) == "one"
