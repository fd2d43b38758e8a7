"""Delete many objects of a bucket with one request."""

from collections.abc import Iterator, Sequence
from typing import Any

from botocore.exceptions import ClientError

from transcription_worker.storage import s3_errors

# Keys of one request: https://docs.aws.amazon.com/AmazonS3/latest/API/API_DeleteObjects.html
PAGE = 1000
# Of a server that deletes objects one by one alone, such as Google's (InvalidArgument), of one that wants the header
# Content-MD5, which boto3 no longer sends, and of one that cannot read a key in XML, which has no control characters.
NO_BULK = {"NotImplemented", "501", "MethodNotAllowed", "405", "InvalidArgument", "MalformedXML"}
NO_BULK |= {"MissingContentMD5", "InvalidRequest"}
# The answer has a code for each object that was not deleted, and no status; these are statuses that the codes stand for.
STATUSES = {"AccessDenied": 403, "InternalError": 500, "SlowDown": 503, "ServiceUnavailable": 503}


def pages(keys: Sequence[str]) -> Iterator[Sequence[str]]:
    """Divide keys into as many as one request takes."""
    return (keys[begin : begin + PAGE] for begin in range(0, len(keys), PAGE))


def delete_objects(client: Any, bucket: str, keys: Sequence[str]) -> None:
    """Delete at most PAGE objects. An object that is gone counts as deleted; of a versioned one a marker hides the versions.

    Raises:
        ClientError: S3 refused the request, or one of the objects: the code is that of the first one.
    """
    try:
        listed = [{"Key": key} for key in keys]
        answer = client.delete_objects(Bucket=bucket, Delete={"Objects": listed, "Quiet": True})
    except ClientError as error:
        if s3_errors.code_of(error)[0] not in NO_BULK:
            raise
        for key in keys:
            client.delete_object(Bucket=bucket, Key=key)
        return
    refused = [item for item in answer.get("Errors", ()) if item.get("Code") not in s3_errors.NO_KEY]
    if refused:
        status = STATUSES.get(refused[0].get("Code", ""), 400)
        raise ClientError(
            {"Error": refused[0], "ResponseMetadata": {"HTTPStatusCode": status}},
            "DeleteObjects",
        )
