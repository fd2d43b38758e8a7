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


def answer(status: int, code: str, operation: str = "GetObject", **more: str) -> boto.ClientError:
    body = {"Error": {"Code": code, "Message": "secret words", **more}, "ResponseMetadata": {"HTTPStatusCode": status}}
    return boto.ClientError(body, operation)


@pytest.mark.parametrize(
    ("status", "code", "role", "reason"),
    [
        (404, "NoSuchKey", Role.SOURCE, reasons.NO_SUCH_KEY),
        (404, "NoSuchKey", Role.MODEL, reasons.MODEL_NOT_FOUND),
        (404, "NoSuchBucket", Role.SOURCE, reasons.NO_SUCH_BUCKET),
        (404, "NoSuchBucket", Role.DESTINATION, reasons.NO_SUCH_BUCKET),
        (301, "PermanentRedirect", Role.SOURCE, reasons.NO_SUCH_BUCKET),
        (403, "AccessDenied", Role.SOURCE, reasons.ACCESS_DENIED),
        (403, "403", Role.SOURCE, reasons.ACCESS_DENIED),
        (403, "AccessDenied", Role.DESTINATION, reasons.DESTINATION_DENIED),
        (403, "InvalidAccessKeyId", Role.DESTINATION, reasons.BAD_CREDENTIALS),
        (403, "SignatureDoesNotMatch", Role.SOURCE, reasons.BAD_CREDENTIALS),
        (400, "InvalidBucketName", Role.SOURCE, reasons.NO_SUCH_BUCKET),
        (400, "InvalidToken", Role.SOURCE, reasons.BAD_CREDENTIALS),
        (403, "InvalidClientTokenId", Role.SOURCE, reasons.BAD_CREDENTIALS),
        (400, "InvalidIdentityToken", Role.SOURCE, reasons.BAD_CREDENTIALS),
        (400, "TokenRefreshRequired", Role.SOURCE, reasons.BAD_CREDENTIALS),
        (400, "UnrecognizedClientException", Role.SOURCE, reasons.BAD_CREDENTIALS),
        (400, "KMS.DisabledException", Role.SOURCE, reasons.ENCRYPTION_KEY_DENIED),
        (400, "KMS.NotFoundException", Role.SOURCE, reasons.ENCRYPTION_KEY_DENIED),
        (400, "KMS.AccessDeniedException", Role.SOURCE, reasons.ENCRYPTION_KEY_DENIED),
        (400, "KMS.AccessDeniedException", Role.DESTINATION, reasons.ENCRYPTION_KEY_DENIED),
        (400, "KMS.KMSInvalidStateException", Role.DESTINATION, reasons.ENCRYPTION_KEY_DENIED),
        (400, "KMS.InvalidStateException", Role.DESTINATION, reasons.ENCRYPTION_KEY_DENIED),
        (412, "PreconditionFailed", Role.SOURCE, reasons.SOURCE_CHANGED),
    ],
)
def test_s3s_code_decides_the_reason_of_a_refusal(status: int, code: str, role: Role, reason: Reason) -> None:
    error = worker_error(answer(status, code), role, ENDPOINT, "a/b.wav")
    assert error.reason is reason
    assert error.message == (
        f"{role.value}: 'a/b.wav' in bucket 'audio' at http://s3.example.com:9000: S3 answered {code}"
    )
    assert reason is reasons.SOURCE_CHANGED or reason.permanent
    assert transient(answer(status, code)) is None


@pytest.mark.parametrize(
    ("status", "code", "reason"),
    [
        (503, "SlowDown", reasons.ENDPOINT_UNREACHABLE),
        (500, "InternalError", reasons.ENDPOINT_UNREACHABLE),
        (200, "InternalError", reasons.ENDPOINT_UNREACHABLE),
        (429, "TooManyRequests", reasons.ENDPOINT_UNREACHABLE),
        (400, "BadDigest", reasons.ENDPOINT_UNREACHABLE),
        (400, "IncompleteBody", reasons.ENDPOINT_UNREACHABLE),
        (400, "XAmzContentSHA256Mismatch", reasons.ENDPOINT_UNREACHABLE),
        (400, "XAmzContentChecksumMismatch", reasons.ENDPOINT_UNREACHABLE),
        (400, "InvalidDigest", reasons.ENDPOINT_UNREACHABLE),
        (400, "RequestTimeout", reasons.ENDPOINT_UNREACHABLE),
        (400, "Throttling", reasons.ENDPOINT_UNREACHABLE),
        (400, "ThrottlingException", reasons.ENDPOINT_UNREACHABLE),
        (400, "TooManyRequestsException", reasons.ENDPOINT_UNREACHABLE),
        (409, "ConditionalRequestConflict", reasons.ENDPOINT_UNREACHABLE),
        (307, "TemporaryRedirect", reasons.ENDPOINT_UNREACHABLE),
        (400, "Busy", reasons.ENDPOINT_UNREACHABLE),
        (409, "OperationAborted", reasons.ENDPOINT_UNREACHABLE),
        (400, "KMS.ThrottlingException", reasons.ENDPOINT_UNREACHABLE),
        (400, "RequestThrottled", reasons.ENDPOINT_UNREACHABLE),
        (400, "RequestThrottledException", reasons.ENDPOINT_UNREACHABLE),
        (400, "RequestLimitExceeded", reasons.ENDPOINT_UNREACHABLE),
        (400, "BandwidthLimitExceeded", reasons.ENDPOINT_UNREACHABLE),
        (400, "IDPCommunicationError", reasons.ENDPOINT_UNREACHABLE),
        (408, "408", reasons.ENDPOINT_UNREACHABLE),
        (425, "425", reasons.ENDPOINT_UNREACHABLE),
        (400, "ExpiredToken", reasons.CREDENTIALS_EXPIRED),
        (400, "ExpiredTokenException", reasons.CREDENTIALS_EXPIRED),
        (400, "RequestExpired", reasons.CREDENTIALS_EXPIRED),
        (403, "RequestTimeTooSkewed", reasons.CLOCK_SKEWED),
    ],
)
def test_what_may_pass_is_tried_again_and_never_permanent(status: int, code: str, reason: Reason) -> None:
    error = answer(status, code, "PutObject")
    assert transient(error) == f"S3 answered {status} {code}"
    assert worker_error(error, Role.DESTINATION, ENDPOINT, "out/b.json").reason is reason
    assert not reason.permanent


@pytest.mark.parametrize("code", ["PermanentRedirect", "AuthorizationHeaderMalformed"])
def test_a_wrong_region_is_named_with_the_right_one(code: str) -> None:
    error = worker_error(answer(400, code, Region="eu-central-1"), Role.SOURCE, ENDPOINT, "k")
    assert error.reason is reasons.WRONG_REGION
    assert error.message.endswith(f"S3 answered {code}: the bucket is in region 'eu-central-1'")


def test_a_wrong_region_is_named_by_the_header_in_which_aws_tells_it() -> None:
    refused = answer(301, "PermanentRedirect")
    refused.response["ResponseMetadata"]["HTTPHeaders"] = {"x-amz-bucket-region": "eu-central-1"}
    error = worker_error(refused, Role.SOURCE, ENDPOINT, "k")
    assert error.reason is reasons.WRONG_REGION
    assert error.reason.permanent
    assert error.message.endswith("S3 answered PermanentRedirect: the bucket is in region 'eu-central-1'")


def test_an_archived_object_is_named_with_its_storage_class() -> None:
    error = worker_error(answer(403, "InvalidObjectState", StorageClass="GLACIER"), Role.SOURCE, ENDPOINT, "k")
    assert error.reason is reasons.OBJECT_ARCHIVED
    assert error.reason.permanent
    assert transient(answer(403, "InvalidObjectState")) is None
    assert "archived, its storage class is 'GLACIER'" in error.message
    assert "Restore" in error.reason.advice


def test_a_denial_of_the_encryption_key_is_told_from_one_of_the_object() -> None:
    denied = answer(403, "AccessDenied", Message="not authorized to perform: kms:Decrypt on the resource")
    error = worker_error(denied, Role.SOURCE, ENDPOINT, "k")
    assert error.reason is reasons.ENCRYPTION_KEY_DENIED
    assert "not authorized" not in error.message


@pytest.mark.parametrize("code", ["KeyTooLongError", "XMinioInvalidObjectName"])
def test_a_key_that_is_too_long_for_a_server_is_that_of_a_result_or_holds_no_source(code: str) -> None:
    written = worker_error(answer(400, code, "PutObject"), Role.DESTINATION, ENDPOINT, "k")
    assert written.reason is reasons.RESULT_KEY_TOO_LONG
    assert worker_error(answer(400, code), Role.SOURCE, ENDPOINT, "k").reason is reasons.NO_SUCH_KEY


@pytest.mark.parametrize("status", [404, 405, 400, 302])
def test_a_page_of_something_that_is_not_s3_is_no_missing_object(status: int) -> None:
    page = answer(status, str(status))
    assert transient(page)
    error = worker_error(page, Role.SOURCE, ENDPOINT, "k")
    assert error.reason is reasons.ENDPOINT_UNREACHABLE
    assert f"an answer of status {status} that is not S3's: check endpointURL" in error.message


def test_a_missing_object_is_found_out_by_a_head_whose_answer_has_no_body() -> None:
    missing = answer(404, "404", "HeadObject")
    assert transient(missing) is None
    assert worker_error(missing, Role.SOURCE, ENDPOINT, "k").reason is reasons.NO_SUCH_KEY


def test_a_service_of_credentials_that_does_not_answer_is_asked_again() -> None:
    error = boto.CredentialRetrievalError(provider="container-role", error_msg="timed out")
    assert transient(error) == "CredentialRetrievalError"
    failure = worker_error(error, Role.SOURCE, ENDPOINT, "k")
    assert failure.reason is reasons.ENDPOINT_UNREACHABLE
    assert "the service that gives the pod its credentials did not answer" in failure.message


def test_a_certificate_that_is_refused_is_permanent_and_says_why() -> None:
    words = "[SSL: CERTIFICATE_VERIFY_FAILED] certificate verify failed: certificate has expired (_ssl.c:1006)"
    error = boto.SSLError(endpoint_url="https://s3.example.com", error=words)
    assert transient(error) is None
    failure = worker_error(error, Role.SOURCE, ENDPOINT, "k")
    assert failure.reason is reasons.CERTIFICATE_INVALID
    assert failure.reason.permanent
    assert failure.message.endswith("certificate refused: certificate has expired")


def test_a_tls_connection_that_breaks_is_tried_again() -> None:
    error = boto.SSLError(endpoint_url="https://s3.example.com", error="EOF occurred in violation of protocol")
    assert transient(error) == "SSLError"


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
