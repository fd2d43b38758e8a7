"""Make the boto3 client of one bucket, with its endpoint, addressing style and credentials."""

import functools
import json
from pathlib import Path
from typing import Any

import boto3
import botocore.loaders
import botocore.session
from botocore.config import Config
from transcription_api import names, reasons
from transcription_api.spec import S3Endpoint

from transcription_worker.errors import WorkerError
from transcription_worker.paths import Paths
from transcription_worker.storage.instance_metadata import UnansweredMetadata
from transcription_worker.storage.roles import Role

# Arguments of boto3's client; none where boto3 is to find credentials itself.
Credentials = dict[str, str]

# In seconds.
CONNECT_TIMEOUT = 10
READ_TIMEOUT = 60
# Connections that are kept open: as many as there are threads that fetch, write and look for results at the same time. Further
# ones would be closed after each request, and TLS begun anew costs more than a small object.
CONNECTIONS = 40


def make_client(
    endpoint: S3Endpoint, role: Role, credentials: Credentials, paths: Paths, checksums: bool = True
) -> Any:
    """Return an S3 client for the endpoint, which asks for checksums in headers unless the server refuses that.

    Without credentials boto3 looks for them: in the environment, and at the services that give a pod or a machine a role.

    Raises:
        WorkerError: NoSuchBucket, if the endpoint is not a URL.
        MetadataRetrievalError, CredentialRetrievalError: a service that gives credentials did not answer.
    """
    # Each client has a session of its own, because source, destination and model may have different credentials.
    known = botocore.session.get_session()
    known.register_component("data_loader", _loader())
    if not credentials:
        known.get_component("credential_provider").insert_after("iam-role", UnansweredMetadata(known, paths))
    session = boto3.session.Session(botocore_session=known)
    try:
        return session.client(
            "s3",
            endpoint_url=endpoint.endpoint_url,
            region_name=endpoint.region,
            config=_config(endpoint, checksums),
            **credentials,
        )
    except ValueError as error:
        message = (
            f"{role.value}.endpointURL: got {endpoint.endpoint_url!r}, expected a URL such as https://s3.example.com"
        )
        raise WorkerError(reasons.NO_SUCH_BUCKET, message) from error


@functools.cache
def _loader() -> Any:
    """Return the loader of botocore's descriptions of services: reading them takes each session 0.3 s."""
    return botocore.loaders.create_loader()


def _config(endpoint: S3Endpoint, checksums: bool) -> Config:
    when = None if checksums else "when_required"
    return Config(
        connect_timeout=CONNECT_TIMEOUT,
        read_timeout=READ_TIMEOUT,
        max_pool_connections=CONNECTIONS,
        # boto3 tries once. Our own retries are bounded in seconds, log each pause, and also resume a body that broke off.
        retries={"total_max_attempts": 1},
        s3={"addressing_style": "path" if endpoint.path_style else "auto"},
        signature_version="s3v4",
        request_checksum_calculation=when,
        response_checksum_validation=when,
        user_agent_extra="transcription-worker",
    )


def read_credentials(endpoint: S3Endpoint, role: Role, paths: Paths) -> Credentials:
    """Read the mounted Secret as it is now: the kubelet replaces its files when the Secret changes.

    Raises:
        WorkerError: BadCredentials, if the Secret lacks a key.
    """
    ref = endpoint.credentials_secret_ref
    if ref is None:
        return {}
    folder = paths.at(role.credentials_dir)
    token = folder / names.SECRET_SESSION_TOKEN
    found = {
        "aws_access_key_id": _read(folder, names.SECRET_ACCESS_KEY_ID, role, ref.name),
        "aws_secret_access_key": _read(folder, names.SECRET_SECRET_ACCESS_KEY, role, ref.name),
    }
    return found | ({"aws_session_token": token.read_text().strip()} if token.is_file() else {})


def _read(folder: Path, key: str, role: Role, secret: str) -> str:
    """Return a value of the Secret without the newline that editors and `echo` leave at its end."""
    try:
        value = (folder / key).read_text(encoding="utf-8").strip()
    except (OSError, UnicodeDecodeError):
        value = ""
    if not value:
        message = f"{role.value}.credentialsSecretRef: Secret {json.dumps(secret, allow_nan=False)} has no key {key}, or an empty one"
        raise WorkerError(reasons.BAD_CREDENTIALS, message)
    return value
