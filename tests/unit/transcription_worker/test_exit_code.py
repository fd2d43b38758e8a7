"""The exit code of a run says whether the Job counts it as a failure."""

import pytest
from transcription_api import exit_codes, reasons
from transcription_api.report import Report, failure
from transcription_worker.job.command import _exit_code


@pytest.mark.parametrize("reason", reasons.WORKER_REASONS, ids=lambda reason: reason.name)
def test_no_failure_that_comes_without_a_signal_is_retried_for_ever(reason: reasons.Reason) -> None:
    # The Job ignores pods that were asked to stop, which end with this code at the signal.
    assert _exit_code(failure(reason, "why")) != exit_codes.INTERRUPTED


def test_a_complete_run_exits_with_zero_and_a_failed_one_with_the_code_of_its_reason() -> None:
    assert _exit_code(Report()) == exit_codes.OK
    assert _exit_code(failure(reasons.NO_SUCH_KEY, "why")) == exit_codes.SOURCE_NOT_FOUND
