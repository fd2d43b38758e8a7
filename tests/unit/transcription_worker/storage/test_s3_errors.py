"""Errors of S3 and of the connection are mapped to reasons, and those that may pass are retried."""

import errno

import pytest
from botocore import exceptions as boto
from transcription_api import reasons
from transcription_api.reasons import Reason
from transcription_api.spec import S3Endpoint
from transcription_worker.storage.roles import Role
from transcription_worker.storage.s3_errors import shown_endpoint, transient, worker_error
from urllib3.exceptions import ProtocolError

ENDPOINT = S3Endpoint(bucket="audio", endpoint_url="http://user:pass@s3.example.com:9000/path")


def answer(status: int, code: str) -> boto.ClientError:
    body = {"Error": {"Code": code, "Message": "secret words"}, "ResponseMetadata": {"HTTPStatusCode": status}}
    return boto.ClientError(body, "GetObject")


@pytest.mark.parametrize(
    ("status", "code", "role", "reason"),
    [
        (404, "NoSuchKey", Role.SOURCE, reasons.NO_SUCH_KEY),
        (404, "NoSuchKey", Role.MODEL, reasons.MODEL_NOT_FOUND),
        (404, "404", Role.SOURCE, reasons.NO_SUCH_KEY),
        (404, "NoSuchBucket", Role.SOURCE, reasons.NO_SUCH_BUCKET),
        (404, "NoSuchBucket", Role.DESTINATION, reasons.NO_SUCH_BUCKET),
        (301, "PermanentRedirect", Role.SOURCE, reasons.NO_SUCH_BUCKET),
        (403, "AccessDenied", Role.SOURCE, reasons.ACCESS_DENIED),
        (403, "403", Role.SOURCE, reasons.ACCESS_DENIED),
        (403, "AccessDenied", Role.DESTINATION, reasons.DESTINATION_DENIED),
        (403, "InvalidObjectState", Role.SOURCE, reasons.ACCESS_DENIED),
        (403, "InvalidAccessKeyId", Role.DESTINATION, reasons.BAD_CREDENTIALS),
        (403, "SignatureDoesNotMatch", Role.SOURCE, reasons.BAD_CREDENTIALS),
        (400, "ExpiredToken", Role.SOURCE, reasons.BAD_CREDENTIALS),
        (412, "PreconditionFailed", Role.SOURCE, reasons.SOURCE_CHANGED),
        (503, "SlowDown", Role.SOURCE, reasons.ENDPOINT_UNREACHABLE),
        (500, "InternalError", Role.DESTINATION, reasons.ENDPOINT_UNREACHABLE),
        (429, "TooManyRequests", Role.SOURCE, reasons.ENDPOINT_UNREACHABLE),
    ],
)
def test_s3s_code_decides_the_reason(status: int, code: str, role: Role, reason: Reason) -> None:
    error = worker_error(answer(status, code), role, ENDPOINT, "a/b.wav")
    assert error.reason is reason
    assert error.message == (
        f"{role.value}: 'a/b.wav' in bucket 'audio' at http://s3.example.com:9000: S3 answered {code}"
    )


@pytest.mark.parametrize(
    "error",
    [
        boto.EndpointConnectionError(endpoint_url="http://s3.example.com"),
        boto.ConnectTimeoutError(endpoint_url="http://s3.example.com"),
        boto.ReadTimeoutError(endpoint_url="http://s3.example.com"),
        boto.ConnectionClosedError(endpoint_url="http://s3.example.com"),
        boto.IncompleteReadError(actual_bytes=1, expected_bytes=2),
        ProtocolError("Connection broken"),
        ConnectionResetError(),
    ],
)
def test_a_connection_that_fails_is_tried_again_and_then_unreachable(error: Exception) -> None:
    assert transient(error) == type(error).__name__
    assert worker_error(error, Role.SOURCE, ENDPOINT, "k").reason is reasons.ENDPOINT_UNREACHABLE


@pytest.mark.parametrize("status", [403, 404, 412])
def test_a_refusal_is_not_tried_again(status: int) -> None:
    assert transient(answer(status, "Whatever")) is None


def test_a_full_disk_is_no_failure_of_the_connection() -> None:
    assert transient(OSError(errno.ENOSPC, "No space left on device")) is None


def test_no_credentials_at_all_say_what_to_set() -> None:
    error = worker_error(boto.NoCredentialsError(), Role.SOURCE, ENDPOINT, "k")
    assert error.reason is reasons.BAD_CREDENTIALS
    assert "set credentialsSecretRef" in error.message


def test_an_endpoint_is_shown_without_the_password_in_it() -> None:
    assert shown_endpoint(ENDPOINT) == "http://s3.example.com:9000"
    assert shown_endpoint(S3Endpoint(bucket="b", region="eu-west-1")) == "AWS (eu-west-1)"
