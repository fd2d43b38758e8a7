"""What a damaged file has become is told rightly, or a defect would pass."""

from pathlib import Path

import pytest
from transcription_api.choices import Channel

from tests.media_fuzz.cases import Case
from tests.media_fuzz.front_end import Ending
from tests.media_fuzz.measured import Taken, reader
from tests.media_fuzz.recordings import Kind, recording
from tests.media_fuzz.run import (
    MOST_FFMPEG_MEMORY,
    MOST_MEMORY,
    MOST_SECONDS,
    MOST_WRITTEN,
    Outcome,
    defects,
    greedy,
    run,
)

WAV = Kind("wav", ("-ac", "2"))
GOOD = Ending("Complete", audio_seconds=1.0)


def case(body: bytes) -> Case:
    return Case(1, WAV, ("unchanged",), "1.wav", body, Channel.MIX)


def test_a_whole_file_is_complete_and_a_text_fails_by_name(tmp_path: Path) -> None:
    with reader() as files:
        whole = run(case(recording(WAV) or b""), tmp_path, files)
        assert (whole.taken.ending, whole.defects) == (Ending("Complete", audio_seconds=1.5), [])
        assert whole.taken.written > 1.5 * 32_000  # the samples
        assert 0 < whole.taken.memory < MOST_MEMORY / 2
        assert 10 << 20 < whole.taken.ffmpeg_memory < MOST_FFMPEG_MEMORY / 2
        text = run(case(b"no sound at all\n" * 100), tmp_path, files)
        assert (text.reason, text.defects) == ("UnsupportedMedia", [])
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("taken", "words"),
    [
        (Taken(Ending("Lost", "it is gone for good")), "the reason is 'Lost'"),
        (Taken(Ending("InternalError", "KeyError: 'streams'")), "the reason is 'InternalError'"),
        (Taken(Ending("UnsupportedMedia")), "no message"),
        (Taken(Ending("Complete")), "complete with 0.0 s"),
        (Taken(GOOD, seconds=MOST_SECONDS + 1), "it took 31 s"),
        (Taken(GOOD, written=MOST_WRITTEN + 1), "it wrote"),
        (Taken(Ending("Complete", audio_seconds=3600.0), written=200 << 20), "it wrote 200 MiB, expected at most 192"),
        (Taken(GOOD, memory=MOST_MEMORY + 1), "it took"),
        (Taken(GOOD, left=["samples"]), "left samples behind"),
    ],
)
def test_each_kind_of_defect_is_told(taken: Taken, words: str) -> None:
    (found,) = defects(taken)
    assert words in found


def test_what_is_just_within_the_bounds_is_no_defect() -> None:
    assert list(defects(Taken(GOOD, MOST_SECONDS, MOST_WRITTEN, MOST_MEMORY))) == []
    hour = Ending("Complete", audio_seconds=3600.0, tracks=2)
    assert list(defects(Taken(hour, written=380 << 20))) == []


def test_a_header_in_fifty_may_make_ffmpeg_reserve_much_memory_and_not_more() -> None:
    much = Outcome(case(b""), Taken(GOOD, ffmpeg_memory=MOST_FFMPEG_MEMORY + 1))
    usual = Outcome(case(b""), Taken(GOOD, ffmpeg_memory=MOST_FFMPEG_MEMORY))
    assert greedy([much] + [usual] * 9) == []
    assert greedy([much] * 2 + [usual] * 98) == []
    assert len(greedy([much] * 2 + [usual] * 97)) == 2
    assert len(greedy([much] * 2)) == 2
