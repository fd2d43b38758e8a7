"""Map errors of boto3 to failure reasons and messages, and tell which of them are worth a retry."""

import errno
from collections.abc import Mapping
from typing import Any
from urllib.parse import urlsplit

from botocore import exceptions as boto
from botocore.parsers import ResponseParserError
from transcription_api import reasons
from transcription_api.reasons import Reason
from transcription_api.spec import S3Endpoint
from urllib3.exceptions import HTTPError

from transcription_worker.errors import WorkerError
from transcription_worker.retry import PASSING_STATUSES
from transcription_worker.storage.roles import Role

# S3's error codes, https://docs.aws.amazon.com/AmazonS3/latest/API/ErrorResponses.html
# Of a key that is too long for the server; MinIO has a code of its own where a name between slashes has more than 255 bytes.
KEY_TOO_LONG = {"KeyTooLongError", "XMinioInvalidObjectName"}
NO_KEY = {"NoSuchKey", "NoSuchVersion", "404", *KEY_TOO_LONG}
CHANGED = {"PreconditionFailed", "412"}
# Of a conditional write: another object is there, has just gone, or was being written all the time.
CONDITION_FAILED = {*CHANGED, "ConditionalRequestConflict", *(NO_KEY - KEY_TOO_LONG)}
# Of a server that knows no conditional writes.
NO_CONDITIONS = {"NotImplemented", "501"}
# Of a server that does not know a header.
UNKNOWN_HEADER = {"InvalidArgument", "InvalidRequest", "NotImplemented"}
# Of a range that lies outside the object, which is empty or has become shorter.
OUT_OF_RANGE = {"InvalidRange", "416"}
# Of credentials that another version of the Secret may have replaced.
CREDENTIALS = {
    "InvalidAccessKeyId",
    "SignatureDoesNotMatch",
    "InvalidToken",
    "InvalidClientTokenId",
    "InvalidIdentityToken",
    "TokenRefreshRequired",
    "UnrecognizedClientException",
}
EXPIRED = {"ExpiredToken", "ExpiredTokenException", "RequestExpired"}
# The server is busy, or the request was damaged or cut off on its way.
BUSY = {
    "SlowDown",
    "RequestTimeout",
    "Throttling",
    "ThrottlingException",
    "TooManyRequestsException",
    "KMS.ThrottlingException",
    "RequestThrottled",
    "RequestThrottledException",
    "RequestLimitExceeded",
    "BandwidthLimitExceeded",
    "IDPCommunicationError",  # STS did not reach who issued the pod's token
    "BadDigest",
    "IncompleteBody",
    "InvalidDigest",
    "XAmzContentSHA256Mismatch",
    "XAmzContentChecksumMismatch",
    "OperationAborted",
    "ConditionalRequestConflict",  # something else writes there now, and who came first is known a moment later
    "TemporaryRedirect",
    "Busy",
    "InternalError",
}
SKEWED = "RequestTimeTooSkewed"

# Codes that give the same reason whatever the bucket is used for.
REASONS: Mapping[str, Reason] = {
    "NoSuchBucket": reasons.NO_SUCH_BUCKET,
    "InvalidBucketName": reasons.NO_SUCH_BUCKET,
    "PermanentRedirect": reasons.WRONG_REGION,
    "AuthorizationHeaderMalformed": reasons.WRONG_REGION,
    "IllegalLocationConstraintException": reasons.WRONG_REGION,
    "301": reasons.WRONG_REGION,
    "InvalidObjectState": reasons.OBJECT_ARCHIVED,
    "KMS.DisabledException": reasons.ENCRYPTION_KEY_DENIED,
    "KMS.NotFoundException": reasons.ENCRYPTION_KEY_DENIED,
    "KMS.KMSInvalidStateException": reasons.ENCRYPTION_KEY_DENIED,
    "KMS.InvalidStateException": reasons.ENCRYPTION_KEY_DENIED,
    "KMS.AccessDeniedException": reasons.ENCRYPTION_KEY_DENIED,
    SKEWED: reasons.CLOCK_SKEWED,
    **dict.fromkeys(CHANGED, reasons.SOURCE_CHANGED),
    **dict.fromkeys(CREDENTIALS, reasons.BAD_CREDENTIALS),
    **dict.fromkeys(EXPIRED, reasons.CREDENTIALS_EXPIRED),
    **dict.fromkeys(BUSY, reasons.ENDPOINT_UNREACHABLE),
}
# Statuses of a HEAD that stand for several codes, such as ExpiredToken and AccessDenied.
UNEXPLAINED_BY_HEAD = {400, 403}
# Characters of a word that the server chose, such as an error code.
SERVER_WORD_LIMIT = 64
# Statuses by which something that is not S3 may refuse a request for good, such as a proxy that wants to be logged in to.
REFUSING_STATUSES = {401, 403, 407, 409}

LOCAL = {errno.ENOSPC, errno.EDQUOT, errno.EFBIG, errno.EIO, errno.EROFS, errno.EACCES, errno.EPERM, errno.ENOENT}

# Errors that boto3 raises when there is no response, or only part of one.
CONNECTION = (
    boto.HTTPClientError,  # connect, read and TLS errors, and time-outs
    boto.ConnectionError,
    boto.IncompleteReadError,
    boto.ResponseStreamingError,
    boto.FlexibleChecksumError,
    ResponseParserError,  # a body that is cut off or no XML
    HTTPError,  # urllib3's, while the body of a response is read
    OSError,
)
# Errors of a service that gives the pod its credentials, when it does not answer.
NO_ANSWER_FOR_CREDENTIALS = (boto.CredentialRetrievalError, boto.MetadataRetrievalError)


def code_of(error: boto.ClientError) -> tuple[str, int]:
    """Return S3's error code and the HTTP status. The code is the status where the body names none."""
    answer: dict[str, Any] = error.response
    status = int(answer.get("ResponseMetadata", {}).get("HTTPStatusCode", 0))
    return str(answer.get("Error", {}).get("Code") or status), status


def transient(error: Exception) -> str | None:
    """Return a description for the log if a retry may succeed, None if it would fail the same way."""
    if isinstance(error, boto.ClientError):
        code, status = code_of(error)
        if code in NO_CONDITIONS:
            return None
        passing = status >= 500 or status in PASSING_STATUSES or code in BUSY | EXPIRED or code == SKEWED
        return f"S3 answered {status} {code}" if passing or not is_from_s3(error) else None
    if is_local(error) or certificate_problem(error) is not None:
        return None
    return type(error).__name__ if isinstance(error, (*CONNECTION, *NO_ANSWER_FOR_CREDENTIALS)) else None


def refuses_checksums(error: Exception) -> bool:
    """Return whether a server does not know the headers of checksums: Backblaze's and, with 501, Cloudflare's until 2025.

    No code says so: InvalidArgument and NotImplemented stand for much else. The message names the header.
    """
    if not isinstance(error, boto.ClientError) or code_of(error)[0] not in UNKNOWN_HEADER:
        return False
    words = str(error.response.get("Error", {}).get("Message", "")).lower()
    return "x-amz-checksum-" in words or "x-amz-sdk-checksum-" in words


def is_from_s3(error: boto.ClientError) -> bool:
    """Return whether an error response is S3's own: it has an error code, which a load balancer's 404 page has not.

    The response to a HEAD has no body, so that nothing can be said of it.
    """
    code, status = code_of(error)
    if not code.isdigit() or error.operation_name.startswith("Head"):
        return True
    return code in {*CHANGED, *OUT_OF_RANGE} or status in REFUSING_STATUSES or status == 301


def is_local(error: Exception) -> bool:
    """Return whether the error is about the local disk rather than the connection.

    Both can be an OSError: a body is written to disk as it is read, and boto3's time-outs are OSErrors too.
    """
    return isinstance(error, OSError) and error.errno in LOCAL


def certificate_problem(error: Exception) -> str | None:
    """Return OpenSSL's words about a certificate that it does not accept, or None if the error is another one."""
    if not isinstance(error, boto.SSLError):
        return None
    words = str(error)
    if "CERTIFICATE_VERIFY_FAILED" in words:
        return words.rpartition("certificate verify failed: ")[2].partition(" (_ssl")[0].rstrip(")'\"")
    if "[Errno" in words or "[X509" in words:
        return "the file of certificate authorities cannot be read"
    return None


def worker_error(error: Exception, role: Role, endpoint: S3Endpoint, key: str) -> WorkerError:
    """Return the failure for the report. It names S3's error code and leaves out S3's message, which we do not control."""
    where = f"{role.value}: {key!r} in bucket {endpoint.bucket!r} at {shown_endpoint(endpoint)}"
    if isinstance(error, boto.ClientError):
        return WorkerError(_reason(error, role), f"{where}: {_answered(error)}")
    problem = certificate_problem(error)
    if problem is not None:
        return WorkerError(reasons.CERTIFICATE_INVALID, f"{where}: certificate refused: {problem}")
    if isinstance(error, NO_ANSWER_FOR_CREDENTIALS):
        words = "the service that gives the pod its credentials did not answer"
        return WorkerError(reasons.ENDPOINT_UNREACHABLE, f"{where}: {words}")
    if isinstance(error, boto.NoCredentialsError | boto.PartialCredentialsError):
        words = "no credentials: set credentialsSecretRef, or give the pod's service account a workload identity"
        return WorkerError(reasons.BAD_CREDENTIALS, f"{where}: {words}")
    if isinstance(error, boto.ParamValidationError):
        return WorkerError(reasons.NO_SUCH_BUCKET, f"{where}: no valid name of a bucket or key")
    if isinstance(error, CONNECTION):
        return WorkerError(reasons.ENDPOINT_UNREACHABLE, f"{where}: {type(error).__name__}")
    return WorkerError(reasons.INTERNAL_ERROR, f"{where}: {type(error).__name__}")


def _reason(error: boto.ClientError, role: Role) -> Reason:
    code, status = code_of(error)
    if not is_from_s3(error):
        return reasons.ENDPOINT_UNREACHABLE
    if code in KEY_TOO_LONG and error.operation_name == "PutObject":
        return reasons.RESULT_KEY_TOO_LONG
    if code in NO_KEY:
        return role.no_such_key
    if code == "AccessDenied" and "kms:" in str(error.response.get("Error", {}).get("Message")):
        return reasons.ENCRYPTION_KEY_DENIED
    if REASONS.get(code) is reasons.WRONG_REGION and _region(error) is None:
        return reasons.NO_SUCH_BUCKET
    if code in REASONS:
        return REASONS[code]
    return reasons.ENDPOINT_UNREACHABLE if status >= 500 or status in PASSING_STATUSES else role.denied


def _answered(error: boto.ClientError) -> str:
    """Return what S3 answered, with what helps most: the region where the bucket is, or the object's storage class."""
    code, status = code_of(error)
    if not is_from_s3(error):
        return f"an answer of status {status} that is not S3's: check endpointURL, and what else answers there"
    region = _region(error)
    if REASONS.get(code) is reasons.WRONG_REGION and region is not None:
        return f"S3 answered {code}: the bucket is in region {region!r}"
    if code == "InvalidObjectState":
        storage_class = str(error.response.get("Error", {}).get("StorageClass", ""))[:SERVER_WORD_LIMIT]
        return f"S3 answered {code}: the object is archived, its storage class is {storage_class!r}"
    return f"S3 answered {code[:SERVER_WORD_LIMIT]}"


def _region(error: boto.ClientError) -> str | None:
    """Return the region that the server names as the bucket's."""
    headers = error.response.get("ResponseMetadata", {}).get("HTTPHeaders", {})
    region = headers.get("x-amz-bucket-region") or error.response.get("Error", {}).get("Region")
    return str(region)[:SERVER_WORD_LIMIT] if region else None


def shown_endpoint(endpoint: S3Endpoint) -> str:
    """Return the endpoint's scheme, host and port. The rest of the URL is left out, since it may hold a password."""
    if endpoint.endpoint_url is None:
        return f"AWS ({endpoint.region or 'default region'})"
    parts = urlsplit(endpoint.endpoint_url)
    port = f":{parts.port}" if parts.port else ""
    return f"{parts.scheme}://{parts.hostname}{port}"
