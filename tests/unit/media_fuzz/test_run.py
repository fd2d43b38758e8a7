"""What a damaged file has become is told rightly, or a defect would pass."""

import subprocess
from pathlib import Path

import pytest
from transcription_api.choices import Channel
from transcription_worker.media import ffmpeg

from tests.media_fuzz.cases import Case
from tests.media_fuzz.recordings import Kind, recording
from tests.media_fuzz.run import MOST_SECONDS, Outcome, defects, left_behind, run
from tests.support.processes import children

WAV = Kind("wav", ("-ac", "2"))


def case(body: bytes) -> Case:
    return Case(1, WAV, ("unchanged",), "1.wav", body, Channel.MIX)


def test_a_whole_file_is_complete_and_a_text_fails_by_name(tmp_path: Path) -> None:
    whole = run(case(recording(WAV) or b""), tmp_path)
    assert (whole.reason, whole.audio_seconds, whole.defects) == ("Complete", 1.5, [])
    text = run(case(b"no sound at all\n" * 100), tmp_path)
    assert (text.reason, text.defects) == ("UnsupportedMedia", [])
    assert list(tmp_path.iterdir()) == []


def test_a_process_that_was_there_before_is_no_defect_and_one_that_came_is(tmp_path: Path) -> None:
    with subprocess.Popen(["sleep", "60"]) as earlier:
        running = set(children())
        assert list(left_behind(tmp_path, running)) == []
        with subprocess.Popen(["sleep", "60"]) as later:
            assert list(left_behind(tmp_path, running)) == ["left a process behind"]
            later.kill()
        earlier.kill()


def test_an_internal_error_is_a_defect(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def defective(*_: object) -> None:
        raise KeyError("streams")

    monkeypatch.setattr(ffmpeg, "decode", defective)
    outcome = run(case(recording(WAV) or b""), tmp_path)
    assert outcome.reason == "InternalError"
    assert len(outcome.defects) == 1


@pytest.mark.parametrize(
    ("outcome", "words"),
    [
        (Outcome(case(b""), "Lost", "it is gone for good"), "the reason is 'Lost'"),
        (Outcome(case(b""), "UnsupportedMedia", ""), "no message"),
        (Outcome(case(b""), "Complete", audio_seconds=0.0), "complete with 0.0 s"),
        (Outcome(case(b""), "Complete", audio_seconds=1.0, seconds=MOST_SECONDS + 1), "it took 31 s"),
        (Outcome(case(b""), "Complete", audio_seconds=1.0, disk=3 << 30), "MiB of disk"),
        (Outcome(case(b""), "Complete", audio_seconds=1.0, memory=1 << 30), "MiB of memory"),
    ],
)
def test_each_kind_of_defect_is_told(outcome: Outcome, words: str) -> None:
    [found] = defects(outcome)
    assert words in found
