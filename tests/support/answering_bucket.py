"""A bucket whose server is a function of the request, so that a test may have it answer anything."""

import io
from collections.abc import Callable
from pathlib import Path
from typing import Any

from botocore.awsrequest import AWSResponse
from transcription_api import names
from transcription_api.spec import S3Endpoint, SecretRef
from transcription_worker.paths import Paths
from transcription_worker.storage.bucket import Bucket
from transcription_worker.storage.roles import Role
from urllib3 import HTTPResponse

# Status, headers and body.
Answer = tuple[int, dict[str, str], bytes]


def write_secret(paths: Paths, role: Role, value: str) -> None:
    folder = paths.at(role.credentials_dir)
    folder.mkdir(parents=True, exist_ok=True)
    for name in (names.SECRET_ACCESS_KEY_ID, names.SECRET_SECRET_ACCESS_KEY):
        (folder / name).write_text(value)


def answering_bucket(folder: Path, answer: Callable[[Any], Answer]) -> Bucket:
    """Return a bucket whose server is a function of the request."""
    write_secret(Paths(folder), Role.SOURCE, "value")
    endpoint = S3Endpoint(
        bucket="b", endpoint_url="http://s3.example.com", region="r", credentials_secret_ref=SecretRef("s3")
    )
    made = Bucket(endpoint, Role.SOURCE, Paths(folder))
    serve(made, answer)
    return made


def serve(made: Bucket, answer: Callable[[Any], Answer]) -> None:
    def send(request: Any, **_: Any) -> AWSResponse:
        status, headers, body = answer(request)
        raw = HTTPResponse(io.BytesIO(body), headers, status, preload_content=False)
        return AWSResponse(request.url, status, raw.headers, raw)

    made._client.meta.events.register("before-send.s3", send)
