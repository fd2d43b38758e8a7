"""A file of this machine that changes while it is read gives no transcript."""

from collections.abc import Callable
from pathlib import Path

import pytest
from transcription_api import reasons
from transcription_worker.errors import WorkerError
from transcription_worker.pipeline.local_source import LocalFile, LocalSource


def append(path: Path) -> None:
    with path.open("ab") as file:
        file.write(b"more")


def replace(path: Path) -> None:
    new = path.with_name("new")
    new.write_bytes(path.read_bytes())
    new.rename(path)


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        (append, reasons.SOURCE_CHANGED),
        (replace, reasons.SOURCE_CHANGED),
        (Path.unlink, reasons.UNSUPPORTED_MEDIA),
    ],
)
def test_a_file_that_is_changed_while_it_is_decoded_fails_by_name(
    tmp_path: Path, change: Callable[[Path], None], reason: reasons.Reason
) -> None:
    path = tmp_path / "a.wav"
    path.write_bytes(b"recorded")
    file = LocalFile(path, tmp_path, "a", 8)
    source = LocalSource([file])
    with pytest.raises(WorkerError) as caught, source.fetch(file, source.stat(file), tmp_path):
        change(path)
    assert caught.value.reason is reason
