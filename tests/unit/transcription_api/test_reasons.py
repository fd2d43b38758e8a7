"""Reasons and exit codes agree."""

from transcription_api import exit_codes, reasons


def test_names_are_unique_and_look_like_condition_reasons() -> None:
    assert len(reasons.BY_NAME) == len(reasons.ALL)
    assert all(name.isalnum() and name[0].isupper() and len(name) <= 40 for name in reasons.BY_NAME)


def test_permanent_reasons_exit_with_permanent_codes_and_no_others_do() -> None:
    for reason in reasons.WORKER_REASONS:
        assert (reason.exit_code in exit_codes.PERMANENT) == reason.permanent, reason.name


def test_every_failure_says_what_to_do() -> None:
    assert all(reason.advice for reason in reasons.WORKER_REASONS)
    assert all(reason.advice for reason in reasons.ALL if reason.permanent)


def test_every_exit_code_but_ok_belongs_to_a_reason() -> None:
    codes = {value for name, value in vars(exit_codes).items() if name.isupper() and isinstance(value, int)}
    assert codes - {exit_codes.OK} == {reason.exit_code for reason in reasons.WORKER_REASONS}
