"""The local command finds its files and names their results."""

from pathlib import Path

import pytest
from transcription_api import reasons
from transcription_api.spec import Format, QualityPolicy, Subtitles
from transcription_worker.errors import WorkerError
from transcription_worker.local.files import find_files, is_done, largest_first
from transcription_worker.local.result_names import renaming_notice
from transcription_worker.pipeline.local_results import write_results
from transcription_worker.pipeline.local_sink import LocalSink
from transcription_worker.pipeline.local_source import LocalFile
from transcription_worker.pipeline.source import InputVersion

from tests.support.local_files import plan


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    for name in ("b.wav", "a.MP3", "notes.txt", ".hidden.wav", "below/c.opus", ".git/d.wav", "empty/x.txt"):
        path = tmp_path / "in" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(b"12345")
    return tmp_path / "in"


def test_a_folders_media_are_taken_by_their_extensions_in_order(folder: Path) -> None:
    files = find_files(plan(folder)).files
    assert [file.path.name for file in files] == ["a.MP3", "b.wav"]
    assert files[0].size == 5
    assert files[0].result(Format.SRT) == Path("out/a.srt")
    assert files[0].result(Format.SRT, 1) == Path("out/a.ch1.srt")


def test_the_largest_files_come_first_and_those_of_a_size_as_they_were_found(folder: Path) -> None:
    sizes = {"a.wav": 2, "b.wav": 9, "c.wav": 2, "d.wav": 30}
    files = [LocalFile(folder / name, folder, name[0], size) for name, size in sizes.items()]
    assert [one.stem for one in largest_first(files)] == ["d", "b", "a", "c"]


def test_folders_below_keep_their_places(folder: Path) -> None:
    files = find_files(plan(folder, "--recursive")).files
    assert [str(file.result(Format.TXT)) for file in files] == ["out/a.txt", "out/b.txt", "out/below/c.txt"]


def test_a_file_that_is_named_may_be_called_anything_and_is_taken_once(folder: Path) -> None:
    files = find_files(plan(folder / "notes.txt", folder / "b.wav", folder)).files
    assert [file.path.name for file in files] == ["notes.txt", "b.wav", "a.MP3"]


def names(files: list[LocalFile]) -> list[str]:
    return [str(file.result(Format.TXT)) for file in files]


def test_files_of_one_name_are_written_with_their_extensions_and_the_others_as_ever(folder: Path) -> None:
    (folder / "a.wav").touch()
    files = find_files(plan(folder)).files
    assert names(files) == ["out/a.MP3.txt", "out/a.wav.txt", "out/b.txt"]
    notice = renaming_notice(files)
    assert notice is not None
    assert notice.endswith(f"{folder / 'a.MP3'}, {folder / 'a.wav'}")
    assert renaming_notice(find_files(plan(folder / "b.wav")).files) is None


def test_names_that_differ_in_case_alone_are_the_same_names(folder: Path) -> None:
    (folder / "B.mp3").touch()
    assert names(find_files(plan(folder)).files) == ["out/B.mp3.txt", "out/a.txt", "out/b.wav.txt"]


def test_a_full_name_takes_no_other_files_name(folder: Path) -> None:
    for name in ("a.wav", "a.wav.ogg"):
        (folder / name).touch()
    assert names(find_files(plan(folder)).files) == ["out/a.MP3.txt", "out/a.wav.txt", "out/a.wav.ogg.txt", "out/b.txt"]


def test_what_follows_a_dot_is_an_extension_only_if_media_have_it(folder: Path) -> None:
    days = [folder / "2024.01.05 standup", folder / "2024.01.06 standup"]
    for path in days:
        path.touch()
    assert names(find_files(plan(*days)).files) == ["out/2024.01.05 standup.txt", "out/2024.01.06 standup.txt"]


def test_of_two_files_of_the_very_same_name_the_second_has_no_results_and_fails_by_name(folder: Path) -> None:
    (folder / "below/b.wav").touch()
    first, second, other = find_files(plan(folder / "b.wav", folder / "below/b.wav", folder / "a.MP3")).files
    assert (first.taken_by, second.taken_by, other.taken_by) == (None, folder / "b.wav", None)
    sink = LocalSink([Format.TXT], Subtitles(), QualityPolicy.WARN)
    assert sink.find_results(first, InputVersion()) is None
    with pytest.raises(WorkerError, match=r"those of .*in/b\.wav': out/b\.wav\.\*") as caught:
        sink.find_results(second, InputVersion())
    assert caught.value.reason is reasons.DESTINATION_TAKEN


def test_files_with_their_extensions_in_the_results_are_found_done(folder: Path, tmp_path: Path) -> None:
    (folder / "a.wav").touch()
    asked = plan(folder, "-o", tmp_path / "out", "-f", "txt")
    first, second, _ = find_files(asked).files
    write_results({first.result(Format.TXT): b"text\n"})
    assert [is_done(file, asked) for file in (first, second)] == [True, False]


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("nowhere.wav", "expected a file or a folder: No such file or directory"),
        ("empty", "expected a folder with audio or video; --recursive looks into folders below it"),
    ],
)
def test_what_is_not_there_is_an_error_that_names_it(folder: Path, name: str, message: str) -> None:
    with pytest.raises(ValueError, match=name) as caught:
        find_files(plan(folder / name))
    assert message in str(caught.value)


def test_a_file_is_done_when_every_format_is_there(folder: Path, tmp_path: Path) -> None:
    out = tmp_path / "out"
    asked = plan(folder / "b.wav", "-o", out, "-f", "txt,json")
    (file,) = find_files(asked).files
    assert not is_done(file, asked)
    write_results({file.result(Format.TXT): b"text\n"})
    assert not is_done(file, asked)
    write_results({file.result(Format.JSON): b"{}"})
    assert is_done(file, asked)
    split = plan(folder / "b.wav", "-o", out, "-f", "txt,json", "--channel", "split")
    assert not is_done(file, split)
    write_results({file.result(fmt, 0): body for fmt, body in ((Format.TXT, b"text\n"), (Format.JSON, b"{}"))})
    assert is_done(file, split)
