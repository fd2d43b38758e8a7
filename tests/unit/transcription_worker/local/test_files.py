"""Which files the local command takes, what their results are called, and that results are whole or not there."""

from pathlib import Path

import pytest
from transcription_api.spec import Format
from transcription_worker.local.files import find_files, is_done
from transcription_worker.local.plan import Plan, make_plan
from transcription_worker.main import make_parser
from transcription_worker.pipeline.local_sink import write_results


def plan(*words: str | Path) -> Plan:
    return make_plan(make_parser().parse_args(["local", "--output-dir", "out", *map(str, words)]))


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    for name in ("b.wav", "a.MP3", "notes.txt", ".hidden.wav", "below/c.opus", ".git/d.wav", "empty/x.txt"):
        path = tmp_path / "in" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(b"12345")
    return tmp_path / "in"


def test_a_folders_media_are_taken_by_their_extensions_in_order(folder: Path) -> None:
    files = find_files(plan(folder))
    assert [file.path.name for file in files] == ["a.MP3", "b.wav"]
    assert files[0].size == 5
    assert files[0].result(Format.SRT) == Path("out/a.srt")
    assert files[0].result(Format.SRT, 1) == Path("out/a.ch1.srt")


def test_folders_below_keep_their_places(folder: Path) -> None:
    files = find_files(plan(folder, "--recursive"))
    assert [str(file.result(Format.TXT)) for file in files] == ["out/a.txt", "out/b.txt", "out/below/c.txt"]


def test_a_file_that_is_named_may_be_called_anything_and_is_taken_once(folder: Path) -> None:
    files = find_files(plan(folder / "notes.txt", folder / "b.wav", folder))
    assert [file.path.name for file in files] == ["notes.txt", "b.wav", "a.MP3"]


def test_two_files_with_the_same_results_are_an_error_that_names_both(folder: Path) -> None:
    (folder / "a.wav").touch()
    with pytest.raises(ValueError, match=r"a\.MP3' and '.*a\.wav', expected names whose results differ: .* out/a\.\*"):
        find_files(plan(folder))
    with pytest.raises(ValueError, match="expected names whose results differ"):
        find_files(plan(folder / "b.wav", folder / "below/c.opus", folder / "empty/../a.MP3", folder / "a.wav"))


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
    (file,) = find_files(asked)
    assert not is_done(file, asked)
    write_results({file.result(Format.TXT): b"text"})
    assert not is_done(file, asked)
    write_results({file.result(Format.JSON): b"{}"})
    assert is_done(file, asked)
    split = plan(folder / "b.wav", "-o", out, "-f", "txt,json", "--channel", "split")
    assert not is_done(file, split)
    write_results({file.result(fmt, 0): b"" for fmt in (Format.TXT, Format.JSON)})
    assert is_done(file, split)


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
