"""The status of many files has at most 8 KiB, whatever their number and whatever others say."""

import dataclasses
import json
from typing import Any

import pytest
from transcription_api.codec import to_json
from transcription_api.report import DeviceUsed, FileCounts, FileFailure, ModelUsed, PlanSummary, ReasonCount
from transcription_api.status import Condition, ConditionType, Failure, Phase, Status
from transcription_operator.reconcile.status_size import SIZE_LIMIT, within_size

from tests.support.kubernetes_objects import CREATED
from tests.support.status_schema import refused_fields

MOST = 2**63 - 1


def named(count: int, key: str) -> FileCounts:
    failures = tuple(FileFailure(key * 256, "R" * 63) for _ in range(count))
    reasons = tuple(ReasonCount(f"R{number}" + "x" * 60, MOST) for number in range(16))
    return FileCounts(MOST, MOST, MOST, MOST, MOST, reasons, failures)


def status(message: str, **fields: Any) -> Status:
    conditions = tuple(Condition(kind.value, "True", "Reason", message, CREATED, 1) for kind in ConditionType)
    return Status(phase=Phase.FAILED, conditions=conditions, **fields)


def size(found: Status) -> int:
    return len(json.dumps(to_json(found), separators=(",", ":"), ensure_ascii=False).encode())


@pytest.mark.parametrize("text", ["m", "é", "🎙", "\x07", '"', "\\"])
def test_the_longest_texts_of_all_fields_fit_and_the_outcome_stays(text: str) -> None:
    skipped = tuple(ReasonCount(f"R{number}" + "x" * 60, MOST) for number in range(16))
    whole = status(
        text * 1024,
        files=named(10, text),
        plan=PlanSummary(MOST, MOST, 1000, MOST, MOST, MOST, skipped, MOST, 2e9, 2e9, 1e9),
        failure=Failure("R" * 63, text * 1024, text * 4096),
        device=DeviceUsed("k" * 63, text * 256, "d" * 63, "c" * 63, "f" * 63, text * 1024),
        model=ModelUsed(text * 1024, "d" * 128),
        engine=text * 256,
        report_key=text * 1024,
    )
    shorter = within_size(whole)
    assert size(shorter) <= SIZE_LIMIT
    assert refused_fields(to_json(shorter)) == []
    assert [(item.type, item.status) for item in shorter.conditions] == [(k.value, "True") for k in ConditionType]
    assert shorter.failure is not None
    assert shorter.files is not None
    assert (shorter.failure.reason, shorter.files.failed, shorter.phase) == ("R" * 63, MOST, Phase.FAILED)


def test_what_fits_stays_whole_and_what_was_cut_is_not_cut_again() -> None:
    usual = status("words", files=FileCounts(5))
    assert within_size(usual) is usual
    once = within_size(status("m" * 1024, files=named(10, "k")))
    assert size(once) <= SIZE_LIMIT
    assert within_size(once) == once


def test_ten_failed_files_with_long_keys_are_named_beside_short_messages() -> None:
    shorter = within_size(status("m" * 200, files=named(10, "k")))
    assert shorter.files is not None
    assert len(shorter.files.failures) == 10


def test_the_status_of_one_file_stays_as_it_is() -> None:
    whole = status("m" * 20_000)
    assert within_size(whole) is whole
    assert dataclasses.replace(whole, files=None) == whole
