"""The local command's run over files that are whole and some that are not, with full disks and engines that break."""

import dataclasses
import os
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path

import pytest
from transcription_worker.engines.protocol import Audio, Input, Outcome

from tests.support.instant_engine import InstantEngine
from tests.support.local_files import plan
from tests.support.local_run import transcribe
from tests.support.media import make
from tests.support.small_disk import small_disk

# Seconds of audio that take 320 kB of samples.
SECONDS = 10.0


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Six recordings, and one that is six times as long."""
    folder = tmp_path_factory.mktemp("recordings")
    first = make(folder / "0.flac", seconds=SECONDS)
    for number in range(1, 6):
        (folder / f"{number}.flac").write_bytes(first.read_bytes())
    make(folder / "3-long.flac", seconds=6 * SECONDS)
    return folder


class OneAfterTheOther(InstantEngine):
    """Opens a file once the one before is done, as most engines do."""

    def transcribe(self, inputs: Iterable[Input]) -> Iterator[Outcome]:
        for item in inputs:
            yield self.transcribe_file(item)


@pytest.mark.parametrize("engine", [InstantEngine(), OneAfterTheOther()])
@pytest.mark.parametrize("fitting", [1, 3])
def test_on_a_full_disk_files_wait_for_those_before_them_and_only_one_that_is_too_long_fails(
    folder: Path, tmp_path: Path, fitting: int, engine: InstantEngine
) -> None:
    with small_disk(tmp_path / "scratch", 350 * fitting) as scratch:
        outcomes = transcribe(plan(folder, "-o", tmp_path / "out", "-f", "txt"), scratch, engine)
    assert outcomes.reasons == {"3-long.flac": "NoSpaceLeft"}
    assert len(outcomes.done) == 6


def test_results_wait_for_space_where_samples_are_on_the_same_disk(folder: Path, tmp_path: Path) -> None:
    with small_disk(tmp_path / "disk", 700) as disk:
        (disk / "scratch").mkdir()
        (disk / "out").mkdir()
        outcomes = transcribe(plan(folder, "-o", disk / "out", "-f", "all"), disk / "scratch")
        assert outcomes.reasons == {"3-long.flac": "NoSpaceLeft"}
        assert len(list((disk / "out").iterdir())) == 6 * 5


def test_channels_apart_end_on_a_full_disk_too(tmp_path: Path) -> None:
    for number in range(4):
        make(tmp_path / f"{number}.flac", "-ac", "2", seconds=SECONDS)
    with small_disk(tmp_path / "scratch", 700) as scratch:
        outcomes = transcribe(plan(tmp_path, "-o", tmp_path / "out", "-f", "txt", "--channel", "split"), scratch)
    assert len(outcomes.done) + len(outcomes.failures) == 4
    assert set(outcomes.reasons.values()) <= {"NoSpaceLeft"}
    assert outcomes.done


def test_of_two_files_of_the_very_same_name_one_is_transcribed_and_the_other_fails_by_name(
    folder: Path, tmp_path: Path
) -> None:
    for name in ("scratch", "other"):
        (tmp_path / name).mkdir()
    other = tmp_path / "other" / "0.flac"
    other.write_bytes((folder / "0.flac").read_bytes())
    asked = plan(folder / "0.flac", other, "-o", tmp_path / "out", "-f", "txt")
    outcomes = transcribe(asked, tmp_path / "scratch")
    assert outcomes.reasons == {"0.flac": "DestinationTaken"}
    assert [path.name for path in (tmp_path / "out").iterdir()] == ["0.flac.txt"]


def test_a_full_output_folder_fails_files_by_name(folder: Path, tmp_path: Path) -> None:
    (tmp_path / "scratch").mkdir()
    with small_disk(tmp_path / "out", 4) as out:
        outcomes = transcribe(plan(folder / "0.flac", folder / "1.flac", "-o", out, "-f", "all"), tmp_path / "scratch")
        assert set(outcomes.reasons.values()) == {"NoSpaceLeft"}
        assert not [path for path in out.iterdir() if "partial" in path.name]


class Opening(OneAfterTheOther):
    """Takes down what it could open."""

    def __init__(self) -> None:
        self.opened: list[str] = []

    def transcribe_file(self, item: Input) -> Outcome:
        def opened() -> Audio:
            audio = item.open()
            self.opened.append(item.id)
            return audio

        return super().transcribe_file(dataclasses.replace(item, open=opened))


def test_a_file_whose_results_name_is_too_long_is_never_given_to_the_engine(folder: Path, tmp_path: Path) -> None:
    (tmp_path / "scratch").mkdir()
    long = tmp_path / f"{'x' * 251}.wav"  # .json is one byte more than a name may have
    long.symlink_to(folder / "0.flac")
    engine = Opening()
    outcomes = transcribe(
        plan(long, folder / "1.flac", "-o", tmp_path / "out", "-f", "json"), tmp_path / "scratch", engine
    )
    assert outcomes.reasons == {long.name: "DestinationDenied"}
    assert engine.opened == ["1.0"]  # the first track of the second file


class Breaking(OneAfterTheOther):
    """Breaks off at every third file."""

    def transcribe_file(self, item: Input) -> Outcome:
        if int(item.id.split(".")[0]) % 3 == 1:
            item.open().close()
            raise RuntimeError("a defect of the engine")
        return super().transcribe_file(item)


def test_a_defect_of_the_engine_fails_the_file_that_it_was_at_and_the_others_are_done(
    folder: Path, tmp_path: Path
) -> None:
    (tmp_path / "scratch").mkdir()
    outcomes = transcribe(plan(folder, "-o", tmp_path / "out", "-f", "txt"), tmp_path / "scratch", Breaking())
    assert outcomes.reasons == dict.fromkeys(["1.flac", "3.flac"], "InternalError")
    assert len(outcomes.done) == 5


class Broken(OneAfterTheOther):
    """Breaks off at every file."""

    def transcribe_file(self, item: Input) -> Outcome:
        item.open().close()
        raise RuntimeError("a defect of the engine")


def test_an_engine_that_breaks_off_at_every_file_ends_the_run(folder: Path, tmp_path: Path) -> None:
    (tmp_path / "scratch").mkdir()
    files = [folder / "0.flac"] + [tmp_path / f"{number}.flac" for number in range(12)]
    for path in files[1:]:
        path.symlink_to(folder / "0.flac")
    with pytest.raises(RuntimeError, match="defect"):
        transcribe(plan(*files, "-o", tmp_path / "out", "-f", "txt"), tmp_path / "scratch", Broken())


class Disturbed(OneAfterTheOther):
    """Does something to a file once it is open."""

    def __init__(self, disturb: Callable[[], None]) -> None:
        self._disturb = disturb

    def transcribe_file(self, item: Input) -> Outcome:
        def opened() -> Audio:
            audio = item.open()
            self._disturb()
            return audio

        return super().transcribe_file(dataclasses.replace(item, open=opened))


def cut_off(path: Path) -> None:
    os.truncate(path, 10_000)


def record_on(path: Path) -> None:
    with path.open("ab") as file:
        file.write(bytes(10_000))


def replace(path: Path) -> None:
    path.with_name("new").write_bytes(path.read_bytes())
    path.with_name("new").rename(path)


@pytest.mark.parametrize("options", [("-ar", "16000"), ("-ar", "44100")], ids=["read in place", "converted"])
@pytest.mark.parametrize("disturb", [cut_off, record_on, replace, Path.unlink])
def test_a_file_that_changes_while_it_is_transcribed_has_no_transcript_of_what_it_was(
    tmp_path: Path, options: tuple[str, str], disturb: Callable[[Path], None]
) -> None:
    (tmp_path / "scratch").mkdir()
    path = make(tmp_path / "a.wav", *options, seconds=3)
    asked = plan(path, "-o", tmp_path / "out", "-f", "txt")
    outcomes = transcribe(asked, tmp_path / "scratch", Disturbed(lambda: disturb(path)))
    if disturb is Path.unlink:
        assert outcomes.done == {"a.wav"}
    else:
        assert outcomes.reasons == {"a.wav": "SourceChanged"}
        assert not (tmp_path / "out").exists()
