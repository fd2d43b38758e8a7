"""The local command over files whose results would have one name: all of them are transcribed, and a run can be resumed."""

import os
import subprocess
from dataclasses import dataclass
from pathlib import Path

import pytest
from transcription_api import exit_codes

from tests.support.local_command import QUICK, Ended, contents, local
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
    for name in (b"caf\xe9.wav", b"x" * 252 + b".au"):
        (strange / os.fsdecode(name)).write_bytes((folder / "call.wav").read_bytes())
    (strange / "dangling.wav").symlink_to("gone.wav")
    (strange / "call.xyz").touch()
    return strange


@dataclass(frozen=True)
class Finished:
    """A run over both folders, shared by the tests that look at it."""

    words: list[str | Path]
    ended: Ended
    out: Path


@pytest.fixture(scope="module")
def finished(folder: Path, strange: Path, tmp_path_factory: pytest.TempPathFactory) -> Finished:
    base = tmp_path_factory.mktemp("finished")
    words: list[str | Path] = [
        folder,
        strange,
        *(folder / day for day in DAYS),
        "-o",
        base / "out",
        "-f",
        "txt",
        *QUICK,
    ]
    ended = local(base / "scratch", *words, PYTHONIOENCODING="ascii:strict", LC_ALL="C")
    return Finished(words, ended, base / "out")


def test_a_name_that_is_not_utf_8_is_transcribed_and_shown_escaped_and_what_cannot_be_is_named(
    finished: Finished, strange: Path
) -> None:
    ended = finished.ended
    assert (finished.out / os.fsdecode(b"caf\xe9.txt")).read_bytes()
    assert ended.code == exit_codes.DESTINATION_DENIED, ended.all  # that of the larger one
    assert "Traceback" not in ended.all
    assert "/caf\\xe9.wav: 0:05 of audio, en, " in ended.out
    assert f"left out {strange}/call.xyz: " in ended.out
    assert "dangling.wav: UnsupportedMedia: cannot be read: No such file or directory" in ended.out
    assert "xxx.au: DestinationDenied: " in ended.out
    assert "File name too long" in ended.out
    assert "7 files: 5 done, 2 failed; 1 left out" in ended.out


def test_files_of_one_name_are_all_transcribed_and_the_run_says_what_their_results_are_called(
    finished: Finished, folder: Path, tmp_path: Path
) -> None:
    written = contents(finished.out)
    assert {name for name in written if name.isascii()} == {
        *("call.mp3.txt", "call.wav.txt"),
        *(f"{day}.txt" for day in DAYS),
    }
    assert all(written.values())
    lines = finished.ended.out.splitlines()
    (notice,) = [line for line in lines if line.startswith("results named with their extension")]
    assert notice.endswith(f"{folder / 'call.mp3'}, {folder / 'call.wav'}")

    (finished.out / "call.mp3.txt").unlink()
    again = local(tmp_path / "scratch", *finished.words, "--skip-existing")
    assert "7 files: 1 done, 2 failed, 4 skipped" in again.out
    assert contents(finished.out) == written
