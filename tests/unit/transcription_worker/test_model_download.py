"""A model by name is downloaded in pieces, over https and through a proxy, and no silent server is waited for without end."""

import contextlib
import datetime
import hashlib
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler
from pathlib import Path

import pytest
import trustme
from transcription_api import names, reasons
from transcription_api.spec import Model
from transcription_worker import model_download
from transcription_worker.engines.checkpoints import published
from transcription_worker.errors import WorkerError
from transcription_worker.model import fetch_model
from transcription_worker.paths import Paths

from tests.support.model_origin import model_origin, tunnel

CONTENT = b"a checkpoint's bytes" * 100_000
DIGEST = hashlib.sha256(CONTENT).hexdigest()
# Where nobody listens, so that whatever is answered came through the proxy.
NOWHERE = "https://127.0.0.1:1"
# Seconds after which a server that says nothing gives up: the download must have ended long before.
SILENCE = 6.0


@dataclass
class Origin:
    """Answers with the model, of which it holds back what follows the first bytes until `go_on` is set."""

    held_back_after: int = len(CONTENT)
    go_on: threading.Event = field(default_factory=threading.Event)
    requests: int = 0

    def __call__(self, handler: BaseHTTPRequestHandler) -> None:
        self.requests += 1
        begin = int(handler.headers.get("Range", "bytes=0-").removeprefix("bytes=").rstrip("-"))
        if begin >= self.held_back_after:
            self.go_on.wait(SILENCE)
            return
        handler.send_response(206 if begin else 200)
        handler.send_header("Content-Length", str(len(CONTENT) - begin))
        handler.end_headers()
        handler.wfile.write(CONTENT[begin : self.held_back_after])
        if self.held_back_after < len(CONTENT) and self.go_on.wait(SILENCE):
            handler.wfile.write(CONTENT[self.held_back_after :])


@pytest.fixture(autouse=True)
def bare_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("https_proxy", "HTTPS_PROXY", "all_proxy", "ALL_PROXY", "no_proxy", "NO_PROXY", *names.CA_VARIABLES):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("TRANSCRIPTION_OUTAGE_SECONDS", "1")


@pytest.fixture
def paths(tmp_path: Path) -> Paths:
    return Paths(tmp_path)


@pytest.fixture
def authority() -> trustme.CA:
    return trustme.CA()


def fetch(paths: Paths, base: str) -> Path:
    """Fetch the model that is called own, as if openai-whisper published it there."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(published, "BASE_URL", base)
        patch.setitem(published.PUBLISHED, "own", (DIGEST, "own.pt"))
        return fetch_model(Model(name="own"), paths, "team-a").path


def trust(authority: trustme.CA, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Name the authority's certificate as the chart does: in every variable."""
    bundle = folder / "ca-bundle.crt"
    authority.cert_pem.write_to_path(str(bundle))
    for name in names.CA_VARIABLES:
        monkeypatch.setenv(name, str(bundle))


def refusal(paths: Paths, base: str) -> WorkerError:
    with pytest.raises(WorkerError) as caught:
        fetch(paths, base)
    assert not [path for path in paths.model_cache.rglob("*") if path.is_file()]
    return caught.value


@pytest.mark.parametrize("sent", [0, 300_000], ids=["before the first byte", "in the middle"])
def test_a_server_that_falls_silent_is_unreachable_and_not_waited_for(
    paths: Paths, sent: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(model_download, "TIMEOUTS", (0.3, 0.3))
    origin = Origin(held_back_after=sent)
    began = time.monotonic()
    with model_origin(origin) as port:
        error = refusal(paths, f"http://127.0.0.1:{port}")
        took = time.monotonic() - began
        origin.go_on.set()
    assert error.reason is reasons.ENDPOINT_UNREACHABLE
    assert not error.reason.permanent
    assert "spec.model.name: 'own' is not in the cache, and http://127.0.0.1" in error.message
    assert origin.requests > 1
    assert took < SILENCE - 1


def test_bytes_are_on_disk_before_the_last_of_them_are_sent(paths: Paths) -> None:
    origin = Origin(held_back_after=len(CONTENT) // 2)
    with model_origin(origin) as port, ThreadPoolExecutor(1) as threads:
        fetched = threads.submit(fetch, paths, f"http://127.0.0.1:{port}")
        early = has_bytes(paths.model_cache, len(CONTENT) // 4)
        origin.go_on.set()
        assert fetched.result().read_bytes() == CONTENT
    assert early


def has_bytes(folder: Path, count: int) -> bool:
    """Wait until a file below the folder has so many bytes; False if that does not come."""
    until = time.monotonic() + SILENCE / 2
    while time.monotonic() < until:
        with contextlib.suppress(OSError):
            if any(path.stat().st_size >= count for path in folder.rglob("model")):
                return True
        time.sleep(0.02)
    return False


def test_the_download_goes_through_the_proxy_and_trusts_the_administrators_authority(
    paths: Paths, authority: trustme.CA, monkeypatch: pytest.MonkeyPatch
) -> None:
    trust(authority, paths.root, monkeypatch)
    with model_origin(Origin(), authority.issue_cert("127.0.0.1")) as origin, tunnel(origin) as (port, asked):
        monkeypatch.setenv("https_proxy", f"http://127.0.0.1:{port}")
        assert fetch(paths, NOWHERE).read_bytes() == CONTENT
    assert asked == ["127.0.0.1:1"]


def test_a_host_that_needs_no_proxy_is_asked_directly(
    paths: Paths, authority: trustme.CA, monkeypatch: pytest.MonkeyPatch
) -> None:
    trust(authority, paths.root, monkeypatch)
    monkeypatch.setenv("https_proxy", NOWHERE)
    monkeypatch.setenv("no_proxy", ".svc,127.0.0.1")
    with model_origin(Origin(), authority.issue_cert("127.0.0.1")) as port:
        assert fetch(paths, f"https://127.0.0.1:{port}").read_bytes() == CONTENT


def test_a_proxy_that_refuses_is_no_failure_for_good(paths: Paths, monkeypatch: pytest.MonkeyPatch) -> None:
    with tunnel(1, status=503) as (port, asked):
        monkeypatch.setenv("https_proxy", f"http://127.0.0.1:{port}")
        error = refusal(paths, NOWHERE)
    assert error.reason is reasons.ENDPOINT_UNREACHABLE
    assert len(asked) > 1


YESTERDAY = datetime.datetime.now(datetime.UTC) - datetime.timedelta(days=1)


@pytest.mark.parametrize("proxied", [False, True], ids=["directly", "through a proxy"])
@pytest.mark.parametrize("problem", ["unknown authority", "another host", "expired"])
def test_a_certificate_that_is_refused_is_permanent_and_told_at_once(
    paths: Paths, authority: trustme.CA, monkeypatch: pytest.MonkeyPatch, problem: str, proxied: bool
) -> None:
    trust(trustme.CA() if problem == "unknown authority" else authority, paths.root, monkeypatch)
    host = "models.example.com" if problem == "another host" else "127.0.0.1"
    issued = authority.issue_cert(host, not_after=YESTERDAY if problem == "expired" else None)
    origin = Origin()
    with model_origin(origin, issued) as server, tunnel(server) as (port, asked):
        if proxied:
            monkeypatch.setenv("https_proxy", f"http://127.0.0.1:{port}")
        error = refusal(paths, NOWHERE if proxied else f"https://127.0.0.1:{server}")
    assert error.reason is reasons.CERTIFICATE_INVALID
    assert error.reason.permanent
    assert error.message.startswith("spec.model.name: 'own': the certificate of https://127.0.0.1:")
    assert (len(asked), origin.requests) == (int(proxied), 0)


def test_authorities_that_are_not_there_are_named_with_their_file(
    paths: Paths, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("REQUESTS_CA_BUNDLE", "/no/such.pem")
    error = refusal(paths, NOWHERE)
    assert error.reason is reasons.CA_BUNDLE_UNUSABLE
    assert "/no/such.pem" in error.message
