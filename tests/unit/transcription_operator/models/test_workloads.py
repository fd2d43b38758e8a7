"""Why Kueue has not admitted a Job, by the conditions that Kueue 0.17 writes into its workload."""

from typing import Any

import pytest
from transcription_operator.models.workloads import view_queue_reason

QUOTA = "couldn't assign flavors to pod set main: insufficient unused quota for cpu in flavor default, 1 more needed"


def condition(kind: str, status: str, message: str) -> dict[str, str]:
    return {"type": kind, "status": status, "reason": "Pending", "message": message}


@pytest.mark.parametrize(
    ("conditions", "words"),
    [
        ([], None),
        ([condition("QuotaReserved", "False", QUOTA)], QUOTA),
        # Kueue creates no event of these.
        ([condition("QuotaReserved", "False", "ClusterQueue gpus is inactive")], "ClusterQueue gpus is inactive"),
        (
            [
                condition("Evicted", "True", "Preempted"),
                condition("QuotaReserved", "False", "Preempted to accommodate"),
            ],
            "Preempted to accommodate",
        ),
        ([condition("QuotaReserved", "True", "Quota reserved"), condition("Admitted", "True", "admitted")], None),
        ([condition("QuotaReserved", "False", "")], None),
    ],
)
def test_the_words_are_those_of_the_quota_that_is_not_reserved(
    conditions: list[dict[str, str]], words: str | None
) -> None:
    assert view_queue_reason({"status": {"conditions": conditions}}) == words


def test_a_workload_that_kueue_has_not_looked_at_says_nothing() -> None:
    assert view_queue_reason({}) is None


def test_a_workload_that_waits_for_an_admission_check_says_for_which() -> None:
    checks: list[dict[str, Any]] = [
        {"name": "capacity", "state": "Pending", "message": "a node is made"},
        {"name": "policy", "state": "Ready", "message": "fine"},
    ]
    conditions = [
        condition("QuotaReserved", "True", "Quota reserved"),
        condition("Admitted", "False", "The workload has not all checks ready"),
    ]
    words = view_queue_reason({"status": {"conditions": conditions, "admissionChecks": checks}})
    assert words == "The workload has not all checks ready; capacity: a node is made"
