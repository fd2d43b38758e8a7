"""The model's file is cached and its digest is checked, and a download appears completely or not at all."""

import hashlib
from pathlib import Path

import pytest
import whisper
from transcription_api import reasons
from transcription_api.spec import Model, ModelVolume
from transcription_worker.errors import WorkerError
from transcription_worker.model import fetch_model
from transcription_worker.paths import Paths

# whisper's own download leaves files to the garbage collector to close
pytestmark = pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")

CONTENT = b"a checkpoint's bytes"
DIGEST = hashlib.sha256(CONTENT).hexdigest()


@pytest.fixture
def paths(tmp_path: Path) -> Paths:
    paths = Paths(tmp_path)
    paths.model_volume.mkdir(parents=True)
    paths.scratch.mkdir(parents=True)
    return paths


@pytest.fixture
def known(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Return a model name whose server is a folder, since urllib opens file URLs as well."""
    origin = tmp_path / "origin" / DIGEST / "own.pt"
    origin.parent.mkdir(parents=True)
    origin.write_bytes(CONTENT)
    monkeypatch.setitem(whisper._MODELS, "own", f"file://{origin}")
    monkeypatch.setenv("TRANSCRIPTION_OUTAGE_SECONDS", "0")
    monkeypatch.setenv("TQDM_DISABLE", "1")
    return origin


def test_a_model_by_name_is_downloaded_once_and_then_used_without_its_server(paths: Paths, known: Path) -> None:
    first = fetch_model(Model(name="own"), paths)
    assert first.path.read_bytes() == CONTENT
    assert first.used.digest == f"sha256:{DIGEST}"
    assert sorted(path.name for path in first.path.parent.iterdir()) == ["own.pt"]
    known.unlink()
    assert fetch_model(Model(name="own"), paths).path == first.path


def test_a_damaged_file_in_the_cache_is_downloaded_again(paths: Paths, known: Path) -> None:
    path = fetch_model(Model(name="own"), paths).path
    path.write_bytes(CONTENT[:5])
    assert fetch_model(Model(name="own"), paths).path.read_bytes() == CONTENT


def test_a_download_damaged_on_its_way_leaves_nothing_in_the_cache(paths: Paths, known: Path) -> None:
    known.write_bytes(b"something else")
    with pytest.raises(WorkerError, match="the digest does not match"):
        fetch_model(Model(name="own"), paths)
    assert list((paths.model_cache / "openai").iterdir()) == []


def test_without_a_network_a_model_by_name_is_unreachable_not_missing(paths: Paths, known: Path) -> None:
    known.unlink()
    with pytest.raises(WorkerError, match="'own' is not in the cache") as caught:
        fetch_model(Model(name="own"), paths)
    assert caught.value.reason is reasons.ENDPOINT_UNREACHABLE


def test_an_unknown_name_lists_the_known_ones(paths: Paths) -> None:
    with pytest.raises(WorkerError, match=r"got 'huge', expected one of tiny\.en, tiny") as caught:
        fetch_model(Model(name="huge"), paths)
    assert caught.value.reason is reasons.MODEL_NOT_FOUND


def test_a_link_in_the_volume_does_not_lead_out_of_it(paths: Paths, tmp_path: Path) -> None:
    (tmp_path / "outside.pt").write_bytes(CONTENT)
    (paths.model_volume / "model.pt").symlink_to(tmp_path / "outside.pt")
    with pytest.raises(WorkerError, match="expected a file in the volume"):
        fetch_model(Model(volume=ModelVolume("model.pt")), paths)


def test_a_digest_in_capitals_is_the_same_digest(paths: Paths) -> None:
    (paths.model_volume / "model.pt").write_bytes(CONTENT)
    model = Model(volume=ModelVolume("model.pt"), sha256=DIGEST.upper())
    assert fetch_model(model, paths).sha256 == DIGEST
