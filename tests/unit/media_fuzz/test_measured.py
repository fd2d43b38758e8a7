"""What a file takes is measured rightly, by stand-ins that take too much or leave something behind."""

from collections.abc import Iterator
from pathlib import Path

import pytest
from transcription_api.choices import Channel

from tests.media_fuzz import stand_ins as greedy
from tests.media_fuzz.cases import Case
from tests.media_fuzz.measured import Read, Reader, reader
from tests.media_fuzz.recordings import Kind
from tests.media_fuzz.run import MOST_FFMPEG_MEMORY, run

CASE = Case(1, Kind("wav"), ("unchanged",), "1.wav", b"RIFF", Channel.MIX)


@pytest.fixture(scope="module")
def files() -> Iterator[Reader]:
    with reader() as made:
        yield made


@pytest.mark.parametrize(
    ("read", "words"),
    [
        (greedy.holding, "it took 3"),
        (greedy.writing, "it wrote 320 MiB"),
        (greedy.leaving_a_file, "left samples behind"),
        (greedy.leaving_a_process, "left a process behind"),
        (greedy.leaving_an_orphan, "left a process behind"),
        (greedy.dying, "the reason is '': the worker's process ended with -11"),
        (greedy.raising, "the reason is '': the worker's process ended with 1"),
    ],
)
def test_what_a_file_takes_too_much_of_is_its_one_defect(files: Reader, tmp_path: Path, read: Read, words: str) -> None:
    (found,) = run(CASE, tmp_path, files, read).defects
    assert found.startswith(words)
    assert list(tmp_path.iterdir()) == []


def test_the_memory_of_processes_that_the_worker_starts_is_measured(files: Reader, tmp_path: Path) -> None:
    outcome = run(CASE, tmp_path, files, greedy.starting_a_holder)
    assert outcome.taken.ffmpeg_memory >= greedy.GREED > MOST_FFMPEG_MEMORY
    assert outcome.defects == []


def test_a_file_is_not_blamed_for_what_the_one_before_it_took(files: Reader, tmp_path: Path) -> None:
    for read in (greedy.holding, greedy.starting_a_holder, greedy.writing, greedy.leaving_a_process):
        run(CASE, tmp_path, files, read)
        after = run(CASE, tmp_path, files, greedy.modest)
        assert after.defects == []
        assert after.taken.ffmpeg_memory == 0


def test_a_file_that_never_ends_is_given_up_with_all_that_it_started(files: Reader, tmp_path: Path) -> None:
    outcome = run(CASE, tmp_path, files, greedy.sleeping, patience=2.0)
    assert outcome.defects == ["the reason is '': it was killed"]
    assert 2 <= outcome.taken.seconds < 10
    assert not runs(int((tmp_path / "process").read_text()))


def test_the_processes_of_a_reader_end_with_it() -> None:
    with reader() as made:
        assert runs(made.process)
    assert not runs(made.process)


def runs(process: int) -> bool:
    """Return whether a process is there, and is not dead and merely unburied by its parent."""
    stat = Path(f"/proc/{process}/stat")
    return stat.exists() and stat.read_text().rpartition(")")[2].split()[0] != "Z"
