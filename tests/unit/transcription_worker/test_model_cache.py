"""What pods leave in the model cache that they share is checked before another one uses it."""

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
from transcription_api import exit_codes
from transcription_worker.model_cache import ABANDONED_SECONDS, ModelCache, remove_abandoned


@pytest.fixture
def cache(tmp_path: Path) -> ModelCache:
    cache = ModelCache(tmp_path / "cache")
    with cache.store("s3/model") as partial:
        partial.write_bytes(b"weights")
    return cache


def test_a_model_is_found_with_the_digest_that_it_was_stored_with(cache: ModelCache) -> None:
    found = cache.find("s3/model")
    assert found is not None
    assert found[0].read_bytes() == b"weights"
    assert cache.find("s3/another") is None


@pytest.mark.parametrize("damage", [b"", b"weightt", b"weights and more"])
def test_a_damaged_model_is_not_found_and_can_be_stored_again(cache: ModelCache, damage: bytes) -> None:
    cache.path("s3/model").write_bytes(damage)
    assert cache.find("s3/model") is None
    with cache.store("s3/model") as partial:
        partial.write_bytes(b"weights")
    assert cache.find("s3/model") is not None


@pytest.mark.parametrize("name", ["s3/model", "s3/model.sha256"])
def test_half_an_entry_is_none(cache: ModelCache, name: str) -> None:
    cache.path(name).unlink()
    assert cache.find("s3/model") is None


def test_a_download_that_fails_leaves_the_earlier_model(cache: ModelCache) -> None:
    def fail() -> None:
        with cache.store("s3/model") as partial:
            partial.write_bytes(b"half of the wei")
            raise ConnectionError

    with pytest.raises(ConnectionError):
        fail()
    assert cache.find("s3/model") is not None
    assert sorted(path.name for path in cache.path("s3/model").parent.iterdir()) == ["model", "model.sha256"]


def test_what_killed_pods_left_is_removed_and_what_others_download_now_is_kept(tmp_path: Path) -> None:
    old, new = tmp_path / ".partial-old", tmp_path / ".partial-new"
    for folder in (old, new):
        folder.mkdir()
        (folder / "model").write_bytes(b"half")
    for path in (old / "model", old):
        os.utime(path, (time.time() - ABANDONED_SECONDS - 10,) * 2)
    remove_abandoned(tmp_path)
    assert [path.name for path in tmp_path.iterdir()] == [".partial-new"]


def test_a_pod_that_is_asked_to_stop_leaves_no_partial_model(tmp_path: Path) -> None:
    program = f"""
import time
from pathlib import Path
from transcription_worker.model_cache import ModelCache
from transcription_worker.termination import TerminationMessage, watch_signals
watch_signals(TerminationMessage(Path({str(tmp_path / "message")!r}), dict).interrupt)
folder = Path({str(tmp_path / "cache")!r})
with ModelCache(folder).store("model") as partial:
    partial.write_bytes(b"half")
    print("downloading", flush=True)
    time.sleep(60)
"""
    with subprocess.Popen([sys.executable, "-c", program], stdout=subprocess.PIPE, text=True) as worker:
        assert worker.stdout is not None
        assert worker.stdout.readline() == "downloading\n"
        assert list((tmp_path / "cache").iterdir())
        worker.send_signal(signal.SIGTERM)
        assert worker.wait(20) == exit_codes.INTERRUPTED
    assert list((tmp_path / "cache").iterdir()) == []
