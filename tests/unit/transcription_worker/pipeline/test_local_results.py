"""Result files of this machine are written completely or not at all, whoever else writes to the same folder."""

import errno
import multiprocessing
import os
from pathlib import Path

import pytest
from transcription_worker.pipeline import local_results
from transcription_worker.pipeline.local_results import write_results


def test_results_replace_what_was_there_and_leave_nothing_beside_them(tmp_path: Path) -> None:
    target = tmp_path / "new/a.txt"
    write_results({target: b"first"})
    write_results({target: b"second", tmp_path / "new/a.json": b"{}"})
    assert target.read_bytes() == b"second"
    assert {path.name for path in target.parent.iterdir()} == {"a.txt", "a.json"}


def test_results_that_cannot_all_be_written_leave_those_before_as_they_were(tmp_path: Path) -> None:
    (tmp_path / "a.txt").write_bytes(b"good")
    (tmp_path / "file").touch()
    with pytest.raises(OSError, match="file"):
        write_results({tmp_path / "a.txt": b"partial", tmp_path / "file/a.json": b"{}"})
    assert (tmp_path / "a.txt").read_bytes() == b"good"
    assert {path.name for path in tmp_path.iterdir()} == {"a.txt", "file"}


def test_results_may_be_read_by_whom_the_umask_allows(tmp_path: Path) -> None:
    (tmp_path / "other").touch()
    write_results({tmp_path / "a.txt": b""})
    assert (tmp_path / "a.txt").stat().st_mode == (tmp_path / "other").stat().st_mode


def test_two_containers_with_the_same_process_number_do_not_swap_their_transcripts(tmp_path: Path) -> None:
    """Both are process 1 there, and their threads have the same numbers: what a name is made of may not be those."""
    names = {local_results.partial_path(tmp_path) for _ in range(1000)}
    assert len(names) == 1000
    assert not any(str(os.getpid()) == part for name in names for part in name.stem.split("-"))


def write_again_and_again(folder: Path, run: str, times: int) -> None:
    for _ in range(times):
        write_results({folder / f"call.{kind}": run.encode() * 1000 for kind in ("json", "txt", "srt")})


def test_results_of_one_name_are_all_of_one_run_though_two_write_them_at_the_same_time(tmp_path: Path) -> None:
    context = multiprocessing.get_context("fork")
    writers = [context.Process(target=write_again_and_again, args=(tmp_path, run, 60)) for run in "ab"]
    for writer in writers:
        writer.start()
    for writer in writers:
        writer.join()
    assert [writer.exitcode for writer in writers] == [0, 0]
    written = {path.name: path.read_bytes() for path in tmp_path.iterdir()}
    assert set(written) == {"call.json", "call.txt", "call.srt"}
    assert len(set(written.values())) == 1


def test_a_folder_in_the_place_of_one_result_leaves_the_others_as_they_were(tmp_path: Path) -> None:
    (tmp_path / "a.txt").write_bytes(b"good")
    (tmp_path / "a.json").mkdir()
    with pytest.raises(IsADirectoryError):
        write_results({tmp_path / "a.txt": b"new", tmp_path / "a.json": b"{}"})
    assert (tmp_path / "a.txt").read_bytes() == b"good"
    assert {path.name for path in tmp_path.iterdir()} == {"a.txt", "a.json"}


def test_an_output_folder_that_was_deleted_meanwhile_is_made_anew(tmp_path: Path) -> None:
    out = tmp_path / "out"
    write_results({out / "a.txt": b"first"})
    (out / "a.txt").unlink()
    out.rmdir()
    write_results({out / "b.txt": b"second"})
    assert (out / "b.txt").read_bytes() == b"second"


@pytest.mark.parametrize(
    ("name", "number"), [("x" * 252, errno.ENAMETOOLONG), ("é" * 126, errno.ENAMETOOLONG), ("x" * 251, None)]
)
def test_a_name_that_the_file_system_cannot_hold_is_found_before_anything_is_transcribed(
    tmp_path: Path, name: str, number: int | None
) -> None:
    for folder in (tmp_path, tmp_path / "new" / "below"):
        found = None
        try:
            local_results.require_writable([folder / f"{name}.txt"])
        except OSError as error:
            found = error.errno
        assert found == number
    assert list(tmp_path.iterdir()) == []


def test_a_path_that_is_too_long_as_a_whole_is_found_before_anything_is_transcribed(tmp_path: Path) -> None:
    folder = tmp_path / "/".join(["x" * 250] * 16)
    with pytest.raises(OSError, match="File name too long"):
        local_results.require_writable([folder / "a.txt"])


def test_a_file_in_the_place_of_the_output_folder_is_found_before_anything_is_transcribed(tmp_path: Path) -> None:
    (tmp_path / "out").touch()
    with pytest.raises(OSError, match="Not a directory"):
        local_results.require_writable([tmp_path / "out" / "a.txt"])
