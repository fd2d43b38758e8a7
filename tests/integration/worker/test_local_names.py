"""The local command over files whose results would have one name: all of them are transcribed, and a run can be resumed."""

import os
import subprocess
from pathlib import Path

import pytest
from transcription_api import exit_codes

from tests.support.local_command import QUICK, contents, local
from tests.support.speech import speak, write_wav

DAYS = ("2024.01.05 standup", "2024.01.06 standup")


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Two recordings called call, and two of different days whose names have no extension."""
    folder = tmp_path_factory.mktemp("same")
    write_wav(folder / "call.wav", speak("en", 731, 5)[0])
    subprocess.run(["ffmpeg", "-v", "error", "-i", folder / "call.wav", folder / "call.mp3"], check=True)
    for day in DAYS:
        (folder / day).write_bytes((folder / "call.wav").read_bytes())
    return folder


@pytest.fixture(scope="module")
def strange(folder: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A recording whose name is not UTF-8, one whose results would have too long a name, and a link to none."""
    strange = tmp_path_factory.mktemp("strange")
    for name in (b"caf\xe9.wav", b"x" * 251 + b".wav"):
        (strange / os.fsdecode(name)).write_bytes((folder / "call.wav").read_bytes())
    (strange / "dangling.wav").symlink_to("gone.wav")
    (strange / "call.xyz").touch()
    return strange


def test_a_name_that_is_not_utf_8_is_transcribed_and_shown_escaped_and_what_cannot_be_is_named(
    strange: Path, tmp_path: Path
) -> None:
    out, words = tmp_path / "out", ["-f", "json", *QUICK]
    ended = local(tmp_path / "scratch", strange, "-o", out, *words, PYTHONIOENCODING="ascii:strict", LC_ALL="C")
    assert [os.fsencode(path.name) for path in out.iterdir()] == [b"caf\xe9.json"]
    assert ended.code == exit_codes.MEDIA_INVALID, ended.all
    assert "Traceback" not in ended.all
    assert "/caf\\xe9.wav: 0:05 of audio, en, " in ended.out
    assert f"left out {strange}/call.xyz: " in ended.out
    assert "dangling.wav: UnsupportedMedia: cannot be read: No such file or directory" in ended.out
    assert "xxx.wav: DestinationDenied: " in ended.out
    assert "File name too long" in ended.out
    assert "3 files: 1 done, 2 failed; 1 left out" in ended.out


def test_files_of_one_name_are_all_transcribed_and_the_run_says_what_their_results_are_called(
    folder: Path, tmp_path: Path
) -> None:
    out = tmp_path / "out"
    words: list[str | Path] = [folder, *(folder / day for day in DAYS), "-o", out, "-f", "txt", *QUICK]
    ended = local(tmp_path / "scratch", *words)
    assert ended.code == exit_codes.OK, ended.all
    written = contents(out)
    assert set(written) == {"call.mp3.txt", "call.wav.txt", *(f"{day}.txt" for day in DAYS)}
    assert all(written.values())
    (notice,) = [line for line in ended.out.splitlines() if line.startswith("results named with their extension")]
    assert notice.endswith(f"{folder / 'call.mp3'}, {folder / 'call.wav'}")

    (out / "call.mp3.txt").unlink()
    again = local(tmp_path / "scratch", *words, "--skip-existing")
    assert "4 files: 1 done, 0 failed, 3 skipped" in again.out
    assert contents(out) == written


def test_of_two_files_of_the_very_same_name_one_is_transcribed_and_the_other_fails_by_name(
    folder: Path, tmp_path: Path
) -> None:
    other = tmp_path / "other" / "call.wav"
    other.parent.mkdir()
    other.write_bytes((folder / "call.wav").read_bytes())
    ended = local(tmp_path / "scratch", folder / "call.wav", other, "-o", tmp_path / "out", "-f", "txt", *QUICK)
    assert ended.code == exit_codes.DESTINATION_DENIED, ended.all
    assert f"failed   {other}: DestinationTaken: " in ended.out
    assert set(contents(tmp_path / "out")) == {"call.wav.txt"}
