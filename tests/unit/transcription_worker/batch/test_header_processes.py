"""Headers of media are read in processes of their own, which hostile files may take down."""

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from transcription_worker.batch import header_processes
from transcription_worker.batch.header_processes import HeaderProcesses, ReaderDiedError, Told

from tests.support import header_reader
from tests.support.media import convert
from tests.support.processes import children
from tests.support.repository import ROOT
from tests.support.speech import noise, write_wav


@pytest.fixture
def processes(monkeypatch: pytest.MonkeyPatch) -> Iterator[HeaderProcesses]:
    monkeypatch.setenv("PYTHONPATH", str(ROOT))
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "hidden")
    with HeaderProcesses(header_reader.COMMAND, count=2) as made:
        yield made
    assert children() == []


@pytest.fixture
def wav(tmp_path: Path) -> bytes:
    """Return a recording of 3 s."""
    write_wav(tmp_path / "three.wav", noise(1, 3.0))
    return (tmp_path / "three.wav").read_bytes()


def probe(processes: HeaderProcesses, body: bytes, first: int = 128 << 10) -> tuple[Told, list[int]]:
    """Read the header of an object, and tell from where it was read beside its first bytes."""
    asked: list[int] = []

    def read(position: int) -> bytes:
        asked.append(position)
        return body[position : position + (256 << 10)]

    return processes.probe(body[:first], len(body), read), asked


def test_a_header_at_the_beginning_needs_no_further_bytes(processes: HeaderProcesses, wav: bytes) -> None:
    assert probe(processes, wav) == (Told(has_audio=True, seconds=3.0), [])


def test_an_index_at_the_end_is_read_from_there(processes: HeaderProcesses, wav: bytes, tmp_path: Path) -> None:
    convert(tmp_path / "three.wav", tmp_path / "three.m4a", "-c:a", "aac", "-b:a", "320k")
    body = (tmp_path / "three.m4a").read_bytes()
    told, asked = probe(processes, body, first=1 << 10)
    assert told.has_audio
    assert told.seconds == pytest.approx(3.0, abs=0.1)
    assert asked


def test_what_is_no_media_has_no_sound(processes: HeaderProcesses) -> None:
    assert probe(processes, b"not a recording" * 100)[0] == Told(has_audio=False, seconds=None)


SESSION = b"v=0\no=- 0 0 IN IP4 127.0.0.1\ns=x\nc=IN IP4 127.0.0.1\nt=0 0\nm=audio 5004 RTP/AVP 0\n"


def test_a_file_that_names_an_address_makes_nobody_listen_there(
    processes: HeaderProcesses, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(header_processes, "HEADER_SECONDS", 3.0)
    assert probe(processes, SESSION)[0] == Told(has_audio=False, seconds=None)


def test_a_file_of_which_another_one_is_named_is_not_read(
    processes: HeaderProcesses, wav: bytes, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    assert probe(processes, b"ffconcat version 1.0\nfile three.wav\n")[0].has_audio is False


@pytest.mark.parametrize(
    ("begins", "words"),
    [
        (header_reader.DEADLY, r"takes its reader down \(SIGSEGV\)"),
        (header_reader.GREEDY, r"takes its reader down \(code 1\)"),
        (header_reader.BABBLING, r"takes its reader down \(code 3\)"),
        (header_reader.ENDLESS, r"is not read after 0.5 s"),
    ],
)
def test_a_file_that_takes_its_reader_down_is_told_and_the_next_one_is_read(
    processes: HeaderProcesses, wav: bytes, begins: bytes, words: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    probe(processes, wav)  # both are started, so that the time is the header's alone
    monkeypatch.setattr(header_processes, "HEADER_SECONDS", 0.5)
    with pytest.raises(ReaderDiedError, match=words):
        probe(processes, begins + bytes(1000))
    assert processes.deaths == 1
    monkeypatch.setattr(header_processes, "HEADER_SECONDS", 10.0)
    assert probe(processes, wav)[0].seconds == 3.0


def test_many_threads_share_the_processes(processes: HeaderProcesses, wav: bytes) -> None:
    with ThreadPoolExecutor(8) as threads:
        told = list(threads.map(lambda _: probe(processes, wav)[0], range(40)))
    assert told == [Told(has_audio=True, seconds=3.0)] * 40
    assert len(children()) <= 2


def test_an_error_of_the_reading_is_not_the_files_and_leaves_no_reader_in_the_middle(
    processes: HeaderProcesses, wav: bytes, tmp_path: Path
) -> None:
    convert(tmp_path / "three.wav", tmp_path / "three.m4a", "-c:a", "aac", "-b:a", "320k")
    body = (tmp_path / "three.m4a").read_bytes()

    def refuse(position: int) -> bytes:
        raise LookupError(position)

    with pytest.raises(LookupError):
        processes.probe(body[: 1 << 10], len(body), refuse)
    assert processes.deaths == 0
    assert probe(processes, wav)[0].seconds == 3.0


def test_a_reader_sees_no_credentials(processes: HeaderProcesses, wav: bytes) -> None:
    probe(processes, wav)
    (reader,) = children()
    environment = Path(f"/proc/{reader}/environ").read_bytes()
    assert b"PATH=" in environment
    assert b"hidden" not in environment
