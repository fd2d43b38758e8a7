"""What an upload sends is what every S3 server accepts."""

from pathlib import Path
from typing import Any

import pytest
from transcription_api import names
from transcription_api.spec import S3Endpoint, SecretRef
from transcription_worker.paths import Paths
from transcription_worker.storage.bucket import Bucket
from transcription_worker.storage.roles import Role


class SentError(Exception):
    """Ends a request when it is about to be sent."""


@pytest.mark.parametrize("scheme", ["http", "https"])
def test_the_checksum_is_a_header_and_never_a_trailer(tmp_path: Path, scheme: str) -> None:
    paths = Paths(tmp_path)
    folder = paths.at(names.DESTINATION_CREDENTIALS_DIR)
    folder.mkdir(parents=True)
    for name in (names.SECRET_ACCESS_KEY_ID, names.SECRET_SECRET_ACCESS_KEY):
        (folder / name).write_text("value")
    endpoint = S3Endpoint(
        bucket="b", endpoint_url=f"{scheme}://s3.example.com", region="r", credentials_secret_ref=SecretRef("s3")
    )
    sent: dict[str, Any] = {}

    def capture(request: Any, **_: Any) -> None:
        sent.update({name.lower(): value for name, value in request.headers.items()})
        raise SentError

    bucket = Bucket(endpoint, Role.DESTINATION, paths)
    bucket._client.meta.events.register("before-send.s3.PutObject", capture)
    with pytest.raises(SentError):
        bucket._put("out/01.txt", b"123456789", "text/plain")
    assert sent["x-amz-checksum-crc32"] == b"y/Q5Jg=="  # the check value of CRC-32, cbf43926
    assert sent["content-length"] == "9"
    assert not {"x-amz-trailer", "transfer-encoding", "content-encoding"} & set(sent)
