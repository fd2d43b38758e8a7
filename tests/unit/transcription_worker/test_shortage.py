"""What the machine lacks is told as that, and is no failure of the input for good."""

import contextlib
import errno
import os
import resource
from collections.abc import Iterator
from pathlib import Path

import pytest
from transcription_api import reasons
from transcription_api.reasons import Reason
from transcription_worker import shortage as module
from transcription_worker.shortage import allow_open_files, shortage

CASES = [
    (OSError(errno.ENOSPC, "No space", "/scratch/a"), reasons.NO_SPACE_LEFT, "/scratch/a: no space left"),
    (OSError(errno.EDQUOT, "Quota", b"/scratch/a"), reasons.NO_SPACE_LEFT, "/scratch/a: no space left"),
    (OSError(errno.ENOMEM, "Memory"), reasons.OUT_OF_MEMORY, "the pod's memory is not enough"),
    (MemoryError(), reasons.OUT_OF_MEMORY, "the pod's memory is not enough"),
    (OSError(errno.EMFILE, "Too many", 5), reasons.RESOURCES_EXHAUSTED, "as many open files as it may"),
    (OSError(errno.ENFILE, "Too many"), reasons.RESOURCES_EXHAUSTED, "the node has as many open files"),
    (BlockingIOError(errno.EAGAIN, "fork"), reasons.RESOURCES_EXHAUSTED, "no more processes or threads"),
    (RuntimeError("can't start new thread"), reasons.RESOURCES_EXHAUSTED, "no more processes or threads"),
]


@pytest.mark.parametrize(("error", "reason", "words"), CASES, ids=[f"{case[0]!r}" for case in CASES])
def test_what_the_machine_lacks_has_a_reason_that_is_tried_again(error: Exception, reason: Reason, words: str) -> None:
    known = shortage(error)
    assert known is not None
    assert (known.reason, known.reason.permanent) == (reason, False)
    assert words in known.message


def test_other_errors_are_no_shortage() -> None:
    assert shortage(FileNotFoundError(errno.ENOENT, "No such file", "a")) is None
    assert shortage(RuntimeError("cannot schedule new futures after shutdown")) is None
    assert shortage(ValueError("can't start new thread")) is None


@pytest.fixture
def limits() -> Iterator[tuple[int, int]]:
    before = resource.getrlimit(resource.RLIMIT_NOFILE)
    yield before
    resource.setrlimit(resource.RLIMIT_NOFILE, before)


def test_the_worker_may_open_as_many_files_as_the_hard_limit_allows(
    limits: tuple[int, int], monkeypatch: pytest.MonkeyPatch
) -> None:
    hard = limits[1]
    resource.setrlimit(resource.RLIMIT_NOFILE, (500, hard))
    monkeypatch.setattr(module, "MOST_OPEN_FILES", 600)
    allow_open_files()
    assert resource.getrlimit(resource.RLIMIT_NOFILE) == (600, hard)
    monkeypatch.setattr(module, "MOST_OPEN_FILES", 550)
    allow_open_files()
    assert resource.getrlimit(resource.RLIMIT_NOFILE) == (600, hard)  # never less than it was


def test_a_file_that_cannot_be_opened_for_want_of_descriptors_is_told_as_that(
    limits: tuple[int, int], tmp_path: Path
) -> None:
    from transcription_worker.pipeline.local_source import LocalFile, LocalSource

    path = tmp_path / "a.wav"
    path.write_bytes(b"RIFF")
    used = max(int(name) for name in os.listdir("/proc/self/fd"))  # noqa: PTH208 - numbers, not paths
    resource.setrlimit(resource.RLIMIT_NOFILE, (used, limits[1]))
    taken = []
    try:
        with contextlib.suppress(OSError):
            while True:
                taken.append(path.open("rb"))
        with pytest.raises(Exception) as caught:  # noqa: PT011 - what it is told as comes below
            LocalSource([]).stat(LocalFile(path, tmp_path, "a", 4))
    finally:
        for file in taken:
            file.close()
    known = shortage(caught.value) or caught.value
    assert getattr(known, "reason", None) is reasons.RESOURCES_EXHAUSTED
