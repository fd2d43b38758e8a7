"""Whatever lies in a folder is transcribed, fails by name or is named as left out."""

import os
import socket
import time
from pathlib import Path

import pytest
from transcription_worker.errors import WorkerError
from transcription_worker.local.files import Found, find_files, left_out
from transcription_worker.pipeline.local_source import LocalSource

from tests.support.local_files import plan, without_rights


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    made = tmp_path / "in"
    made.mkdir()
    (made / "a.wav").write_bytes(b"12345")
    return made


def named(found: Found) -> list[str]:
    return [file.path.name for file in found.files]


def failure(found: Found, name: str) -> str:
    """Return what the run says of a file that cannot be read; nothing if it can be."""
    [file] = [file for file in found.files if file.path.name == name]
    try:
        LocalSource(found.files).stat(file)
    except WorkerError as error:
        return str(error)
    return ""


def test_mpga_m2ts_and_wave_are_taken_from_a_folder(folder: Path) -> None:
    for name in ("b.mpga", "c.m2ts", "d.WAVE", "e.aifc", "f.3ga"):
        (folder / name).touch()
    assert named(find_files(plan(folder))) == ["a.wav", "b.mpga", "c.m2ts", "d.WAVE", "e.aifc", "f.3ga"]


def test_files_with_other_extensions_are_named_as_left_out_and_results_of_earlier_runs_are_not(folder: Path) -> None:
    for name in ("call.xyz", "scan.pdf", "a.json", "a.txt", ".hidden"):
        (folder / name).touch()
    found = find_files(plan(folder))
    assert found.left_out == 2
    assert [line.split(": ")[0] for line in left_out(found)] == [
        f"left out {folder / 'call.xyz'}",
        f"left out {folder / 'scan.pdf'}",
    ]


def test_a_file_that_is_named_beside_its_folder_is_not_called_left_out(folder: Path) -> None:
    (folder / "call.xyz").touch()
    assert find_files(plan(folder, folder / "call.xyz")).left_out == 0


def test_a_thousand_other_files_take_a_hundred_lines_and_a_count(folder: Path) -> None:
    for number in range(1000):
        (folder / f"{number:03}.jpg").touch()
    lines = list(left_out(find_files(plan(folder))))
    assert len(lines) == 101
    assert lines[-1].startswith("left out 900 more: ")


def test_folders_below_and_links_to_folders_are_named_as_left_out(folder: Path) -> None:
    (folder / "below").mkdir()
    (folder / "link").symlink_to(folder, target_is_directory=True)
    assert [path.name for path in find_files(plan(folder)).below] == ["below", "link"]
    found = find_files(plan(folder, "--recursive"))
    assert ([path.name for path in found.links], found.below) == (["link"], [])
    assert named(found) == ["a.wav"]


@pytest.mark.parametrize(("target", "words"), [("gone.wav", "No such file"), ("b.wav", "levels of symbolic links")])
def test_a_link_that_leads_nowhere_fails_by_name(folder: Path, target: str, words: str) -> None:
    (folder / "b.wav").symlink_to(target)
    for found in (find_files(plan(folder)), find_files(plan(folder / "a.wav", folder / "b.wav"))):
        assert named(found) == ["a.wav", "b.wav"]
        assert words in failure(found, "b.wav")
        assert failure(found, "a.wav") == ""


def test_a_folder_below_that_is_closed_fails_by_name(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (folder / "closed").mkdir(mode=0)
    folder.chmod(0o755)
    monkeypatch.chdir(folder)  # the folders above may be closed too
    with without_rights():
        found = find_files(plan(".", "--recursive"))
        assert named(found) == ["a.wav", "closed"]
        assert "Permission denied" in failure(found, "closed")
        for name in ("closed", "closed/a.wav", folder):
            with pytest.raises(ValueError, match="Permission denied"):
                find_files(plan(name))


def test_pipes_and_sockets_fail_by_name_and_nothing_waits_for_them(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    os.mkfifo(folder / "pipe.wav")
    monkeypatch.chdir(folder)  # a socket's path is short
    with socket.socket(socket.AF_UNIX) as listening:
        listening.bind("socket.wav")
    found = find_files(plan(folder))
    assert named(found) == ["a.wav", "pipe.wav", "socket.wav"]
    assert [failure(found, name) for name in named(found)] == ["", "", ""]  # decoding refuses both without opening them


def test_two_links_to_one_recording_have_results_each(folder: Path) -> None:
    (folder / "b.wav").symlink_to("a.wav")
    assert named(find_files(plan(folder))) == ["a.wav", "b.wav"]


def test_a_file_that_is_named_twice_is_transcribed_once(folder: Path, tmp_path: Path) -> None:
    (tmp_path / "link").symlink_to(folder, target_is_directory=True)
    (tmp_path / "a.wav").symlink_to(folder / "a.wav")
    words = [folder, folder / "a.wav", tmp_path / "link" / "a.wav", folder / ".." / "in" / "a.wav", tmp_path / "a.wav"]
    [file] = find_files(plan(*words)).files
    assert file.taken_by is None


def test_names_that_differ_in_the_form_of_unicode_alone_are_the_same_names(folder: Path) -> None:
    for name in ("caf\u00e9.mp3", "cafe\u0301.wav"):
        (folder / name).touch()
    files = find_files(plan(folder)).files
    assert [file.stem for file in files] == ["a", "cafe\u0301.wav", "caf\u00e9.mp3"]


def test_a_name_that_is_not_utf_8_is_found_and_its_results_keep_its_bytes(folder: Path) -> None:
    (folder / os.fsdecode(b"caf\xe9.wav")).touch()
    found = find_files(plan(folder, "-f", "txt"))
    assert os.fsencode(found.files[1].stem) == b"caf\xe9"


def test_thousands_of_files_of_the_same_names_are_named_apart_at_once(folder: Path) -> None:
    for number in range(3000):
        (folder / f"{number}.mp3").touch()
        (folder / f"{number}.wav").touch()
    began = time.process_time()
    files = find_files(plan(folder)).files
    assert time.process_time() - began < 5
    assert len({file.stem for file in files}) == 6001
