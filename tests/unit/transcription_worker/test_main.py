"""The program ends with its command's exit code, at once where the driver holds a thread."""

import sys

import pytest
from transcription_worker import cuda_driver, main


@pytest.mark.parametrize(("hanging", "expected"), [(True, "at once"), (False, "as usual")])
def test_a_driver_that_hangs_does_not_hold_up_the_end(
    monkeypatch: pytest.MonkeyPatch, hanging: bool, expected: str
) -> None:
    ended: list[tuple[str, object]] = []

    def end(code: int) -> None:
        ended.append(("at once", code))
        raise SystemExit

    monkeypatch.setattr(sys, "argv", ["transcription-worker", "run"])
    for preparation in ("start_logging", "wait_briefly", "allow_open_files"):
        monkeypatch.setattr(main, preparation, lambda: None)
    monkeypatch.setattr(main, "run_task", lambda: 85)
    monkeypatch.setattr(main, "end_program", end)
    monkeypatch.setattr(cuda_driver, "hangs", lambda: hanging)
    with pytest.raises(SystemExit) as caught:
        main.main()
    assert (ended or [("as usual", caught.value.code)]) == [(expected, 85)]
