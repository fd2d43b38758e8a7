"""Download openai-whisper's own models over https, in parts where the connection breaks, and never whole in memory."""

import hashlib
import logging
from pathlib import Path
from typing import BinaryIO

import requests
from transcription_api import reasons

from transcription_worker.errors import WorkerError
from transcription_worker.retry import PASSING_STATUSES, Backoff

log = logging.getLogger(__name__)

# Seconds to connect, and between two packets of the body.
TIMEOUTS = (10.0, 60.0)
# Bytes that are read at a time. Where the connection breaks, those of the last, unfinished read are lost.
CHUNK = 1 << 16


def download_model(name: str, url: str, sha256: str, path: Path) -> None:
    """Download a file of a known SHA-256 digest in hex. `name` is the model's, for messages.

    The proxy and the certificate authorities are those of the environment, as `requests` reads them.

    Raises:
        WorkerError: EndpointUnreachable without a network or if the digest is another one, CertificateInvalid,
            CABundleUnusable, and ModelNotFound where the server has no such file.
        OSError: the file cannot be written.
    """
    backoff = Backoff(f"download model {name}")
    with requests.Session() as session, path.open("w+b") as file:
        while True:
            try:
                _read_on(session, url, file, backoff)
                break
            except requests.RequestException as error:
                _wait(error, backoff, name, url)
            except OSError as error:
                if error.errno is None:  # requests' own, of a bundle of certificate authorities that is not there
                    raise WorkerError(reasons.CA_BUNDLE_UNUSABLE, f"spec.model.name: {name!r}: {error}") from error
                raise
        file.seek(0)
        if hashlib.file_digest(file, "sha256").hexdigest() != sha256:
            words = f"spec.model.name: {name!r} was damaged on its way: the digest does not match"
            raise WorkerError(reasons.ENDPOINT_UNREACHABLE, words)


def _read_on(session: requests.Session, url: str, file: BinaryIO, backoff: Backoff) -> None:
    """Append the rest of the file, or all of it if the server does not honour ranges."""
    begin = file.tell()
    headers = {"Accept-Encoding": "identity"} | ({"Range": f"bytes={begin}-"} if begin else {})
    with session.get(url, headers=headers, stream=True, timeout=TIMEOUTS) as answer:
        if answer.status_code == requests.codes.requested_range_not_satisfiable:
            return  # the last byte was the file's last one
        answer.raise_for_status()
        if begin and answer.status_code != requests.codes.partial_content:
            file.truncate(file.seek(0))
        for chunk in answer.iter_content(CHUNK):
            file.write(chunk)
            backoff.reset()


def _wait(error: requests.RequestException, backoff: Backoff, name: str, url: str) -> None:
    status = error.response.status_code if error.response is not None else 0
    if isinstance(error, requests.exceptions.SSLError) and "CERTIFICATE_VERIFY_FAILED" in str(error):
        words = f"spec.model.name: {name!r}: the certificate of {url} is not accepted"
        raise WorkerError(reasons.CERTIFICATE_INVALID, words) from error
    if status and status < 500 and status not in PASSING_STATUSES:
        raise WorkerError(reasons.MODEL_NOT_FOUND, f"spec.model.name: {name!r}: {url} answers {status}") from error
    try:
        backoff.wait_after(error, f"HTTP {status}" if status else type(error).__name__)
    except requests.RequestException as last:
        words = f"spec.model.name: {name!r} is not in the cache, and {url} cannot be reached"
        raise WorkerError(reasons.ENDPOINT_UNREACHABLE, words) from last
