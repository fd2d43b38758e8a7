"""Map errors of boto3 to failure reasons and messages, and tell which of them are worth a retry."""

import errno
from typing import Any
from urllib.parse import urlsplit

from botocore import exceptions as boto
from transcription_api import reasons
from transcription_api.reasons import Reason
from transcription_api.spec import S3Endpoint
from urllib3.exceptions import HTTPError

from transcription_worker.errors import WorkerError
from transcription_worker.storage.roles import Role

# S3's error codes, https://docs.aws.amazon.com/AmazonS3/latest/API/ErrorResponses.html
NO_KEY = {"NoSuchKey", "NoSuchVersion", "KeyTooLongError", "404"}
# A wrong region or endpoint gives these codes too, since the bucket is elsewhere.
NO_BUCKET = {
    "NoSuchBucket",
    "InvalidBucketName",
    "PermanentRedirect",
    "AuthorizationHeaderMalformed",
    "IllegalLocationConstraintException",
    "301",
}
BAD_CREDENTIALS = {
    "InvalidAccessKeyId",
    "SignatureDoesNotMatch",
    "ExpiredToken",
    "ExpiredTokenException",
    "InvalidToken",
    "InvalidClientTokenId",
    "InvalidIdentityToken",
    "TokenRefreshRequired",
    "UnrecognizedClientException",
}
CHANGED = {"PreconditionFailed", "412"}
# Of a conditional write: another object is there, has just gone, or is being written now.
CONDITION_FAILED = {*CHANGED, "ConditionalRequestConflict", *NO_KEY}
# Of a server that knows no conditional writes.
NO_CONDITIONS = {"NotImplemented", "501"}
BUSY = {
    "SlowDown",
    "RequestTimeout",
    "RequestTimeTooSkewed",
    "Throttling",
    "ThrottlingException",
    "TooManyRequestsException",
}

LOCAL = {errno.ENOSPC, errno.EDQUOT, errno.EFBIG, errno.EIO, errno.EROFS, errno.EACCES, errno.EPERM, errno.ENOENT}

# Errors that boto3 raises when there is no response, or only part of one.
CONNECTION = (
    boto.HTTPClientError,  # connect, read and TLS errors, and time-outs
    boto.ConnectionError,
    boto.IncompleteReadError,
    boto.ResponseStreamingError,
    boto.FlexibleChecksumError,
    HTTPError,  # urllib3's, while the body of a response is read
    OSError,
)


def code_of(error: boto.ClientError) -> tuple[str, int]:
    """Return S3's error code and the HTTP status."""
    answer: dict[str, Any] = error.response
    status = answer.get("ResponseMetadata", {}).get("HTTPStatusCode", 0)
    return str(answer.get("Error", {}).get("Code", status)), int(status)


def transient(error: Exception) -> str | None:
    """Return a description for the log if a retry may succeed, None if it would fail the same way."""
    if isinstance(error, boto.ClientError):
        code, status = code_of(error)
        if code in NO_CONDITIONS:
            return None
        return f"S3 answered {status} {code}" if status >= 500 or status == 429 or code in BUSY else None
    if is_local(error):
        return None
    return type(error).__name__ if isinstance(error, CONNECTION) else None


def is_local(error: Exception) -> bool:
    """Return whether the error is about the local disk rather than the connection.

    Both can be an OSError: a body is written to disk as it is read, and boto3's time-outs are OSErrors too.
    """
    return isinstance(error, OSError) and error.errno in LOCAL


def worker_error(error: Exception, role: Role, endpoint: S3Endpoint, key: str) -> WorkerError:
    """Return the failure for the report. It names S3's error code and leaves out S3's message, which we do not control."""
    where = f"{role.value}: {key!r} in bucket {endpoint.bucket!r} at {shown_endpoint(endpoint)}"
    if isinstance(error, boto.ClientError):
        code, status = code_of(error)
        return WorkerError(_reason(code, status, role), f"{where}: S3 answered {code}")
    if isinstance(error, boto.NoCredentialsError | boto.PartialCredentialsError | boto.CredentialRetrievalError):
        words = "no credentials: set credentialsSecretRef, or give the pod's service account a workload identity"
        return WorkerError(reasons.BAD_CREDENTIALS, f"{where}: {words}")
    if isinstance(error, boto.ParamValidationError):
        return WorkerError(reasons.NO_SUCH_BUCKET, f"{where}: no valid name of a bucket or key")
    if isinstance(error, CONNECTION):
        return WorkerError(reasons.ENDPOINT_UNREACHABLE, f"{where}: {type(error).__name__}{_untrusted(error)}")
    return WorkerError(reasons.INTERNAL_ERROR, f"{where}: {type(error).__name__}")


def _untrusted(error: Exception) -> str:
    """Say so where TLS failed for the server's certificate; the library's own words name no remedy."""
    if isinstance(error, boto.SSLError) and "CERTIFICATE_VERIFY_FAILED" in str(error):
        return ": the server's certificate is not one that the worker trusts; see worker.caBundle of the chart"
    return ""


def _reason(code: str, status: int, role: Role) -> Reason:
    by_code = (
        (NO_BUCKET, reasons.NO_SUCH_BUCKET),
        (NO_KEY, role.no_such_key),
        (BAD_CREDENTIALS, reasons.BAD_CREDENTIALS),
        (CHANGED, reasons.SOURCE_CHANGED),
        (BUSY, reasons.ENDPOINT_UNREACHABLE),
    )
    for codes, reason in by_code:
        if code in codes:
            return reason
    return reasons.ENDPOINT_UNREACHABLE if status >= 500 or status == 429 else role.denied


def shown_endpoint(endpoint: S3Endpoint) -> str:
    """Return the endpoint's scheme, host and port. The rest of the URL is left out, since it may hold a password."""
    if endpoint.endpoint_url is None:
        return f"AWS ({endpoint.region or 'default region'})"
    parts = urlsplit(endpoint.endpoint_url)
    port = f":{parts.port}" if parts.port else ""
    return f"{parts.scheme}://{parts.hostname}{port}"
