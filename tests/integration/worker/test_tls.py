"""An S3 server that speaks https with a certificate of a private authority."""

from collections.abc import Iterator
from pathlib import Path

import pytest
from transcription_api import names, reasons
from transcription_api.spec import S3Endpoint, SecretRef
from transcription_worker.errors import WorkerError
from transcription_worker.paths import Paths
from transcription_worker.storage.bucket import Bucket
from transcription_worker.storage.roles import Role

from tests.support.model_origin import tunnel
from tests.support.s3 import ACCESS_KEY, REGION, SECRET_KEY, S3Server, s3_server

BODY = bytes(range(256)) * 9000
# Where nobody listens, so that whatever is answered came through the proxy.
NOWHERE = "https://127.0.0.1:1"


@pytest.fixture(scope="module")
def tls_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[S3Server]:
    with s3_server(tmp_path_factory.mktemp("s3-tls"), tls=True) as server:
        (server.folder / "results").mkdir()
        yield server


@pytest.fixture(autouse=True)
def short_outage(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TRANSCRIPTION_OUTAGE_SECONDS", "1")


def destination(server: S3Server, root: Path, url: str | None = None) -> Bucket:
    paths = Paths(root)
    folder = paths.at(names.DESTINATION_CREDENTIALS_DIR)
    folder.mkdir(parents=True)
    (folder / names.SECRET_ACCESS_KEY_ID).write_text(ACCESS_KEY)
    (folder / names.SECRET_SECRET_ACCESS_KEY).write_text(SECRET_KEY)
    endpoint = S3Endpoint(
        bucket="results",
        endpoint_url=url or server.url,
        region=REGION,
        path_style=True,
        credentials_secret_ref=SecretRef("s3"),
    )
    return Bucket(endpoint, Role.DESTINATION, paths)


def test_results_are_written_and_read_where_the_authority_is_given(
    tls_server: S3Server, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("AWS_CA_BUNDLE", str(tls_server.certificate))
    bucket = destination(tls_server, tmp_path)
    written = bucket.write("01.bin", BODY, "application/octet-stream")
    assert written.size == len(BODY)
    bucket.download("01.bin", bucket.find("01.bin"), tmp_path / "copy")
    assert (tmp_path / "copy").read_bytes() == BODY


@pytest.mark.parametrize(
    ("bundle", "problem"),
    [
        (None, "unable to get local issuer certificate"),
        ("missing.pem", "the file of certificate authorities cannot be read"),
        ("broken.pem", "the file of certificate authorities cannot be read"),
    ],
)
def test_a_certificate_of_an_unknown_authority_is_a_permanent_failure_that_says_so_at_once(
    tls_server: S3Server, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, bundle: str | None, problem: str
) -> None:
    (tmp_path / "broken.pem").write_text("no certificate")
    if bundle is None:
        monkeypatch.delenv("AWS_CA_BUNDLE", raising=False)
    else:
        monkeypatch.setenv("AWS_CA_BUNDLE", str(tmp_path / bundle))
    with pytest.raises(WorkerError) as caught:
        destination(tls_server, tmp_path).write("02.bin", BODY, "application/octet-stream")
    assert caught.value.reason is reasons.CERTIFICATE_INVALID
    assert caught.value.reason.permanent
    assert caught.value.message.endswith(f"certificate refused: {problem}")


def test_the_proxy_leads_to_the_server_whose_certificate_is_the_servers_own(
    tls_server: S3Server, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("AWS_CA_BUNDLE", str(tls_server.certificate))
    with tunnel(tls_server.port) as (port, asked):
        monkeypatch.setenv("https_proxy", f"http://127.0.0.1:{port}")
        bucket = destination(tls_server, tmp_path, NOWHERE)
        assert bucket.write("03.bin", BODY, "application/octet-stream").size == len(BODY)
        bucket.download("03.bin", bucket.find("03.bin"), tmp_path / "copy")
    assert (tmp_path / "copy").read_bytes() == BODY
    assert set(asked) == {"127.0.0.1:1"}


def test_a_certificate_that_is_refused_behind_a_proxy_is_permanent_too(
    tls_server: S3Server, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("AWS_CA_BUNDLE", raising=False)
    with tunnel(tls_server.port) as (port, asked):
        monkeypatch.setenv("https_proxy", f"http://127.0.0.1:{port}")
        with pytest.raises(WorkerError) as caught:
            destination(tls_server, tmp_path, NOWHERE).write("04.bin", BODY, "application/octet-stream")
    assert caught.value.reason is reasons.CERTIFICATE_INVALID
    assert caught.value.reason.permanent
    assert asked == ["127.0.0.1:1"]


def test_a_proxy_that_refuses_to_lead_to_the_server_is_no_failure_for_good(
    tls_server: S3Server, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with tunnel(tls_server.port, status=503) as (port, asked):
        monkeypatch.setenv("https_proxy", f"http://127.0.0.1:{port}")
        with pytest.raises(WorkerError) as caught:
            destination(tls_server, tmp_path, NOWHERE).find("05.bin")
    assert caught.value.reason is reasons.ENDPOINT_UNREACHABLE
    assert len(asked) > 1
