"""Without a Secret the pod's role gives the credentials. A service that does not answer may do so later; one without a role not."""

import contextlib
import json
import time
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler
from pathlib import Path

import pytest
from transcription_api import reasons
from transcription_api.spec import S3Endpoint
from transcription_worker.errors import WorkerError
from transcription_worker.paths import Paths
from transcription_worker.retry import ENV_OUTAGE_SECONDS
from transcription_worker.storage import instance_metadata
from transcription_worker.storage.bucket import Bucket
from transcription_worker.storage.roles import Role

from tests.support.http_server import http_server

# Of a request's path: the status and the body.
Service = Callable[[str], tuple[int, str]]
UNANSWERED = "the service that gives the pod its credentials did not answer"
ROLE = {"Code": "Success", "AccessKeyId": "of-the-role", "SecretAccessKey": "s", "Token": "t"}
ROLE_PATH = f"/{instance_metadata.ROLES}worker"


@pytest.fixture(autouse=True)
def no_credentials_of_the_environment(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_PROFILE", "AWS_EC2_METADATA_DISABLED"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("AWS_SHARED_CREDENTIALS_FILE", str(tmp_path / "none"))
    monkeypatch.setenv("AWS_CONFIG_FILE", str(tmp_path / "none"))
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")
    monkeypatch.setenv(ENV_OUTAGE_SECONDS, "0.2")


@contextlib.contextmanager
def metadata_service(service: Service) -> Iterator[str]:
    """Serve answers to a PUT for a token and to GETs, and yield the URL."""

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            status, body = service(self.path)
            with contextlib.suppress(OSError):  # of a client that waits no longer
                self.send_response(status)
                self.send_header("Content-Length", str(len(body)))
                self.end_headers()
                self.wfile.write(body.encode())

        do_PUT = do_GET  # noqa: N815 - the name that http.server calls

    with http_server(Handler) as port:
        yield f"http://127.0.0.1:{port}/"


def of_a_role(path: str) -> tuple[int, str]:
    """Answer as EC2's service does on a machine that has a role."""
    if path == ROLE_PATH:
        expiration = time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(time.time() + 6 * 3600))
        return 200, json.dumps({**ROLE, "Expiration": expiration})
    return 200, "worker" if path.endswith(instance_metadata.ROLES) else "token"


def without_role(path: str) -> tuple[int, str]:
    return (200, "token") if path.endswith(instance_metadata.TOKEN) else (404, "Not Found")


def that_nobody_may_assume(path: str) -> tuple[int, str]:
    return (200, '{"Code": "AssumeRoleUnauthorizedAccess", "Message": "m"}') if path == ROLE_PATH else of_a_role(path)


def busy(path: str) -> tuple[int, str]:
    return 503, "Service Unavailable"


def throttled(path: str) -> tuple[int, str]:
    return (429, "Too Many Requests") if path == ROLE_PATH else of_a_role(path)


def silent(path: str) -> tuple[int, str]:
    time.sleep(1.5)
    return 200, ""


def make_bucket(root: Path) -> Bucket:
    """Return the bucket of a pod that has no Secret, at an endpoint that refuses connections."""
    return Bucket(S3Endpoint(bucket="b", region="r", endpoint_url="http://127.0.0.1:1"), Role.SOURCE, Paths(root))


def failure(root: Path) -> WorkerError:
    with pytest.raises(WorkerError) as caught:
        make_bucket(root).find("key")
    return caught.value


@pytest.mark.parametrize("service", [busy, throttled, silent])
def test_a_metadata_service_that_does_not_answer_is_no_failure_for_good(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, service: Service
) -> None:
    monkeypatch.setattr(instance_metadata, "TIMEOUT_SECONDS", 0.5)
    with metadata_service(service) as url:
        monkeypatch.setenv("AWS_EC2_METADATA_SERVICE_ENDPOINT", url)
        error = failure(tmp_path)
    assert error.reason is reasons.ENDPOINT_UNREACHABLE
    assert not error.reason.permanent
    assert UNANSWERED in error.message


def test_a_metadata_service_that_refuses_connections_is_no_failure_for_good(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("AWS_EC2_METADATA_SERVICE_ENDPOINT", "http://127.0.0.1:1/")
    error = failure(tmp_path)
    assert error.reason is reasons.ENDPOINT_UNREACHABLE
    assert UNANSWERED in error.message


@pytest.mark.parametrize("service", [without_role, that_nobody_may_assume])
def test_a_machine_without_a_role_that_may_be_taken_is_a_failure_for_good(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, service: Service
) -> None:
    with metadata_service(service) as url:
        monkeypatch.setenv("AWS_EC2_METADATA_SERVICE_ENDPOINT", url)
        error = failure(tmp_path)
    assert error.reason is reasons.BAD_CREDENTIALS
    assert error.reason.permanent
    assert "no credentials: set credentialsSecretRef" in error.message


def test_a_metadata_service_that_answers_late_gives_the_role(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(ENV_OUTAGE_SECONDS, "20")
    asked: list[str] = []

    def starting(path: str) -> tuple[int, str]:
        asked.append(path)
        return busy(path) if len(asked) < 6 else of_a_role(path)

    with metadata_service(starting) as url:
        monkeypatch.setenv("AWS_EC2_METADATA_SERVICE_ENDPOINT", url)
        bucket = make_bucket(tmp_path)
    assert bucket._client._request_signer._credentials.access_key == "of-the-role"


@pytest.mark.parametrize(
    ("vendor", "version", "reason"),
    [
        ("Amazon EC2\n", None, reasons.ENDPOINT_UNREACHABLE),
        ("Xen\n", "4.11.amazon\n", reasons.ENDPOINT_UNREACHABLE),
        ("QEMU\n", "pc-q35-8.2\n", reasons.BAD_CREDENTIALS),
        (None, None, reasons.BAD_CREDENTIALS),
    ],
)
def test_silence_where_nobody_set_a_metadata_service_counts_on_amazons_machines_alone(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, vendor: str | None, version: str | None, reason: reasons.Reason
) -> None:
    monkeypatch.setattr(instance_metadata, "METADATA_BASE_URL", "http://127.0.0.1:1/")
    for name, text in zip(instance_metadata.FIRMWARE, (vendor, version), strict=True):
        if text is not None:
            path = Paths(tmp_path).at(name)
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(text)
    assert failure(tmp_path).reason is reason


def test_a_metadata_service_that_was_turned_off_is_not_asked(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AWS_EC2_METADATA_SERVICE_ENDPOINT", "http://127.0.0.1:1/")
    monkeypatch.setenv("AWS_EC2_METADATA_DISABLED", "true")
    assert failure(tmp_path).reason is reasons.BAD_CREDENTIALS


def test_an_agent_of_pods_identities_that_does_not_answer_is_no_failure_for_good(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As EKS Pod Identity's, which starts on a node beside the first pods."""
    monkeypatch.setenv("AWS_CONTAINER_CREDENTIALS_FULL_URI", "http://127.0.0.1:1/v1/credentials")
    error = failure(tmp_path)
    assert not error.reason.permanent
    assert UNANSWERED in error.message
