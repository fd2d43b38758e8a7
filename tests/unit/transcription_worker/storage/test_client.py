"""Credentials are read from the folder of a mounted Secret."""

from pathlib import Path

import pytest
from transcription_api import reasons
from transcription_api.spec import S3Endpoint, SecretRef
from transcription_worker.errors import WorkerError
from transcription_worker.paths import Paths
from transcription_worker.storage.client import make_client, read_credentials
from transcription_worker.storage.roles import Role

ENDPOINT = S3Endpoint(
    bucket="audio", endpoint_url="http://127.0.0.1:1", region="eu-west-1", credentials_secret_ref=SecretRef("s3-reader")
)


def mount(root: Path, **files: str) -> Paths:
    paths = Paths(root)
    folder = paths.at(Role.SOURCE.credentials_dir)
    folder.mkdir(parents=True)
    for name, text in files.items():
        (folder / name).write_text(text)
    return paths


def test_the_secrets_files_are_the_credentials_without_their_newlines(tmp_path: Path) -> None:
    paths = mount(tmp_path, AWS_ACCESS_KEY_ID="id\n", AWS_SECRET_ACCESS_KEY="key\n", AWS_SESSION_TOKEN="token\n")
    client = make_client(ENDPOINT, Role.SOURCE, read_credentials(ENDPOINT, Role.SOURCE, paths), paths)
    found = client._request_signer._credentials
    assert (found.access_key, found.secret_key, found.token) == ("id", "key", "token")


@pytest.mark.parametrize(
    ("files", "missing"),
    [
        ({}, "AWS_ACCESS_KEY_ID"),
        ({"AWS_ACCESS_KEY_ID": "id"}, "AWS_SECRET_ACCESS_KEY"),
        ({"AWS_ACCESS_KEY_ID": "\n", "AWS_SECRET_ACCESS_KEY": "key"}, "AWS_ACCESS_KEY_ID"),
    ],
)
def test_a_secret_without_a_key_is_named_with_the_key(tmp_path: Path, files: dict[str, str], missing: str) -> None:
    with pytest.raises(WorkerError) as caught:
        read_credentials(ENDPOINT, Role.SOURCE, mount(tmp_path, **files))
    assert caught.value.reason is reasons.BAD_CREDENTIALS
    assert f'Secret "s3-reader" has no key {missing}' in caught.value.message


def test_an_endpoint_that_is_no_url_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AWS_EC2_METADATA_DISABLED", "true")  # nobody is asked for an identity
    with pytest.raises(WorkerError, match=r"spec\.source\.s3\.endpointURL: got 'not a url'"):
        make_client(S3Endpoint(bucket="b", endpoint_url="not a url"), Role.SOURCE, {}, Paths(tmp_path))
