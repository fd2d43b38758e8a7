"""The model's file is cached and its digest is checked, and a download appears completely or not at all."""

import hashlib
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler
from pathlib import Path

import pytest
from transcription_api import reasons
from transcription_api.spec import Model, ModelVolume
from transcription_worker.engines.checkpoints import published
from transcription_worker.errors import WorkerError
from transcription_worker.model import fetch_model
from transcription_worker.paths import Paths

from tests.support.http_server import http_server

CONTENT = b"a checkpoint's bytes" * 10_000
DIGEST = hashlib.sha256(CONTENT).hexdigest()


@pytest.fixture
def paths(tmp_path: Path) -> Paths:
    paths = Paths(tmp_path)
    paths.model_volume.mkdir(parents=True)
    paths.scratch.mkdir(parents=True)
    return paths


class Origin:
    """A server of one file over HTTP, which honours ranges. `answers` are sent first, each instead of the file."""

    def __init__(self) -> None:
        self.content, self.answers, self.ranges = CONTENT, list[bytes](), list[str | None]()
        origin = self

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                begin = self.headers.get("Range")
                origin.ranges.append(begin)
                if origin.answers:
                    self.wfile.write(origin.answers.pop(0))
                    return
                rest = origin.content[int(begin.removeprefix("bytes=").rstrip("-")) if begin else 0 :]
                self.send_response(206 if begin else 200)
                self.send_header("Content-Length", str(len(rest)))
                self.end_headers()
                self.wfile.write(rest)

        self.handler = Handler


@pytest.fixture
def known(monkeypatch: pytest.MonkeyPatch) -> Iterator[Origin]:
    """The server of the model that is called own."""
    origin = Origin()
    monkeypatch.setitem(published.PUBLISHED, "own", (DIGEST, "own.pt"))
    monkeypatch.setenv("TRANSCRIPTION_OUTAGE_SECONDS", "5")
    with http_server(origin.handler) as port:
        monkeypatch.setattr(published, "BASE_URL", f"http://127.0.0.1:{port}")
        yield origin


def test_a_model_by_name_is_downloaded_once_and_then_used_without_its_server(paths: Paths, known: Origin) -> None:
    first = fetch_model(Model(name="own"), paths, "team-a")
    assert first.path.read_bytes() == CONTENT
    assert first.used.digest == f"sha256:{DIGEST}"
    assert sorted(path.name for path in first.path.parent.iterdir()) == ["own.pt", "own.pt.sha256"]
    assert fetch_model(Model(name="own"), paths, "team-a").path == first.path
    assert len(known.ranges) == 1


def test_a_damaged_file_in_the_cache_is_downloaded_again(paths: Paths, known: Origin) -> None:
    path = fetch_model(Model(name="own"), paths, "team-a").path
    path.write_bytes(CONTENT[:5])
    assert fetch_model(Model(name="own"), paths, "team-a").path.read_bytes() == CONTENT


def test_a_download_damaged_on_its_way_leaves_nothing_in_the_cache(paths: Paths, known: Origin) -> None:
    known.content = b"something else"
    with pytest.raises(WorkerError, match="the digest does not match"):
        fetch_model(Model(name="own"), paths, "team-a")
    assert list((paths.model_cache / "openai").iterdir()) == []


def test_without_a_network_a_model_by_name_is_unreachable_not_missing(
    paths: Paths, known: Origin, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("TRANSCRIPTION_OUTAGE_SECONDS", "0")
    monkeypatch.setattr(published, "BASE_URL", "http://127.0.0.1:1")
    with pytest.raises(WorkerError, match="'own' is not in the cache") as caught:
        fetch_model(Model(name="own"), paths, "team-a")
    assert caught.value.reason is reasons.ENDPOINT_UNREACHABLE


def test_a_download_that_breaks_off_goes_on_where_it_broke(paths: Paths, known: Origin) -> None:
    known.answers = [
        b"HTTP/1.1 503 Slow Down\r\nContent-Length: 0\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n%b" % (len(CONTENT), CONTENT[:100_000]),
    ]
    assert fetch_model(Model(name="own"), paths, "team-a").path.read_bytes() == CONTENT
    assert known.ranges == [None, None, "bytes=65536-"]


def test_a_server_that_ignores_ranges_is_read_from_the_beginning(paths: Paths, known: Origin) -> None:
    whole = b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n" % len(CONTENT)
    known.answers = [whole + CONTENT[:100_000], whole + CONTENT]
    assert fetch_model(Model(name="own"), paths, "team-a").path.read_bytes() == CONTENT


def test_a_model_that_the_server_does_not_have_is_not_found_at_once(paths: Paths, known: Origin) -> None:
    known.answers = [b"HTTP/1.1 404 Not Found\r\nContent-Length: 0\r\n\r\n"]
    with pytest.raises(WorkerError, match="answers 404") as caught:
        fetch_model(Model(name="own"), paths, "team-a")
    assert caught.value.reason is reasons.MODEL_NOT_FOUND


def test_an_unknown_name_lists_the_known_ones(paths: Paths) -> None:
    with pytest.raises(WorkerError, match=r"got 'huge', expected one of tiny\.en, tiny") as caught:
        fetch_model(Model(name="huge"), paths, "team-a")
    assert caught.value.reason is reasons.MODEL_NOT_FOUND


def test_a_link_in_the_volume_does_not_lead_out_of_it(paths: Paths, tmp_path: Path) -> None:
    (tmp_path / "outside.pt").write_bytes(CONTENT)
    (paths.model_volume / "model.pt").symlink_to(tmp_path / "outside.pt")
    with pytest.raises(WorkerError, match="expected a file in the volume"):
        fetch_model(Model(volume=ModelVolume("model.pt")), paths, "team-a")


def test_a_digest_in_capitals_is_the_same_digest(paths: Paths) -> None:
    (paths.model_volume / "model.pt").write_bytes(CONTENT)
    model = Model(volume=ModelVolume("model.pt"), sha256=DIGEST.upper())
    assert fetch_model(model, paths, "team-a").sha256 == DIGEST
