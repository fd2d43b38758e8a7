"""Check the certificates that the administrator gave, before they are needed."""

import os
import ssl
from pathlib import Path

from transcription_api import names, reasons

from transcription_worker.errors import WorkerError


def check_ca_bundle() -> None:
    """Check that each file of certificates that the environment names is there and has a certificate.

    Without this a missing file would be told as an endpoint that cannot be reached, after a minute of retries.

    Raises:
        WorkerError: CABundleUnusable.
    """
    for variable in names.CA_VARIABLES:
        path = os.environ.get(variable)
        if path:
            _check(variable, Path(path))


def _check(variable: str, path: Path) -> None:
    expected = "expected a file with certificates in PEM: a ConfigMap of this name, with this key"
    if not path.is_file():
        raise WorkerError(reasons.CA_BUNDLE_UNUSABLE, f"{variable}: got {path}, which does not exist, {expected}")
    try:
        certificates = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
        certificates.load_verify_locations(cafile=path)
    except (ssl.SSLError, OSError) as error:
        words = f"{variable}: got {path}, which holds no certificate, {expected}"
        raise WorkerError(reasons.CA_BUNDLE_UNUSABLE, words) from error
