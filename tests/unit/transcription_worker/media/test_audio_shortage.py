"""A machine that cannot run ffmpeg makes no bad media of a good file."""

import errno
import os
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from transcription_api import reasons
from transcription_api.spec import AudioSelection, Channel
from transcription_worker.errors import WorkerError
from transcription_worker.media.audio import open_audio, open_media

from tests.support.media import make


def fail_with(words: str, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Put programs before ffmpeg and ffprobe that fail with these words."""
    for name in ("ffmpeg", "ffprobe"):
        program = folder / name
        program.write_text(f"#!/bin/sh\necho '{words}' >&2\nexit 1\n")
        program.chmod(0o755)
    monkeypatch.setenv("PATH", f"{folder}:{os.environ['PATH']}")


def open_split(path: Path, scratch: Path) -> object:
    """Open every channel apart, for which ffprobe is asked first."""
    return open_media(path, scratch, AudioSelection(Channel.SPLIT))


@pytest.fixture
def many_open() -> Iterator[None]:
    """Hold so many descriptors that the next one is above those that select() takes."""
    held = [os.open("/dev/null", os.O_RDONLY)]
    held += [os.dup(held[0]) for _ in range(1100)]
    yield
    for descriptor in held:
        os.close(descriptor)


@pytest.mark.usefixtures("many_open")
def test_media_is_decoded_by_a_worker_that_has_more_than_a_thousand_files_open(tmp_path: Path) -> None:
    audio = open_audio(make(tmp_path / "a.mp3"), tmp_path)
    assert audio.count > 0
    audio.close()


@pytest.mark.parametrize("opens", [open_audio, open_split])
@pytest.mark.parametrize(
    ("words", "number"),
    [
        ("[error] [dec:mp3] pthread_create() failed: Resource temporarily unavailable", errno.EAGAIN),
        ("[error] Error opening input: Too many open files", errno.EMFILE),
        ("[error] Error opening input: Too many open files in system", errno.ENFILE),
    ],
)
def test_what_the_machine_lacks_is_not_called_bad_media(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, opens: Callable[[Path, Path], object], words: str, number: int
) -> None:
    path = make(tmp_path / "a.mp3")
    fail_with(words, tmp_path, monkeypatch)
    with pytest.raises(OSError, match=os.strerror(number)) as caught:
        opens(path, tmp_path)
    assert caught.value.errno == number


def test_an_ffmpeg_that_cannot_be_started_is_not_called_bad_media(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = make(tmp_path / "a.mp3")
    fail_with("prlimit: failed to set the AS resource limit: Operation not permitted", tmp_path, monkeypatch)
    with pytest.raises(WorkerError, match="ffmpeg could not be started: prlimit: failed to set") as caught:
        open_audio(path, tmp_path)
    assert caught.value.reason is reasons.RESOURCES_EXHAUSTED
