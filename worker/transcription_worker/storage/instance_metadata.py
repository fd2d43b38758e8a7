"""Tell a machine of Amazon's whose metadata service gives no answer now from one that has no role to give.

boto3 takes both for "no credentials". The first passes: a node that has just started, a service that is asked too often.
"""

import os
from pathlib import Path
from typing import Any

import requests
from botocore.credentials import CredentialProvider
from botocore.exceptions import MetadataRetrievalError
from botocore.utils import METADATA_BASE_URL, METADATA_BASE_URL_IPv6, resolve_imds_endpoint_mode

from transcription_worker.paths import Paths
from transcription_worker.retry import PASSING_STATUSES

# https://docs.aws.amazon.com/AWSEC2/latest/UserGuide/instancedata-data-retrieval.html
TOKEN = "latest/api/token"  # noqa: S105 - a path
ROLES = "latest/meta-data/iam/security-credentials/"
TIMEOUT_SECONDS = 2.0
# What firmware says of a machine: "Amazon EC2" in the first file on Nitro, "4.11.amazon" in the second on Xen.
FIRMWARE = ("/sys/class/dmi/id/sys_vendor", "/sys/class/dmi/id/product_version")


class UnansweredMetadata(CredentialProvider):  # type: ignore[misc]
    """Stands behind boto3's own provider, so that it is asked only where that one found nothing."""

    METHOD = "unanswered-instance-metadata"

    def __init__(self, session: Any, paths: Paths) -> None:
        super().__init__(session)
        self._paths = paths

    def load(self) -> None:
        """Give no credentials.

        Raises:
            MetadataRetrievalError: the service did not answer, and the next time it may.
        """
        why = self._why_unanswered()
        if why is not None:
            raise MetadataRetrievalError(error_msg=why)

    def _why_unanswered(self) -> str | None:
        configured = self.session.get_config_variable("ec2_metadata_service_endpoint")
        disabled = os.environ.get("AWS_EC2_METADATA_DISABLED", "").lower() == "true"
        if disabled or not (configured or is_amazons(self._paths)):
            return None
        ipv6 = resolve_imds_endpoint_mode(self.session) == "ipv6"
        return why_unanswered(configured or (METADATA_BASE_URL_IPv6 if ipv6 else METADATA_BASE_URL))


def is_amazons(paths: Paths) -> bool:
    """Return whether the firmware says that the machine is one of EC2's. A sandbox such as gVisor hides that."""
    return any("amazon" in _read(paths.at(name)).lower() for name in FIRMWARE)


def _read(path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8", errors="replace")
    except OSError:
        return ""


def why_unanswered(base_url: str) -> str | None:
    """Ask the service once more, and say why it gives no credentials, or None where it says that there are none.

    A token that does not come within the timeout may also mean that the service's hop limit is 1, which no pod gets past.
    """
    base_url = base_url.rstrip("/") + "/"
    try:
        token = requests.put(
            base_url + TOKEN, headers={"x-aws-ec2-metadata-token-ttl-seconds": "60"}, timeout=TIMEOUT_SECONDS
        )
        headers = {"x-aws-ec2-metadata-token": token.text} if token.ok else {}
        answer = _get(base_url + ROLES, headers)
        if answer.ok and answer.text:
            answer = _get(base_url + ROLES + answer.text.strip(), headers)
    except requests.RequestException as error:
        return type(error).__name__
    return None if _says_none(answer) else f"it answered {answer.status_code}"


def _get(url: str, headers: dict[str, str]) -> requests.Response:
    return requests.get(url, headers=headers, timeout=TIMEOUT_SECONDS, allow_redirects=False)


def _says_none(answer: requests.Response) -> bool:
    """Return whether an answer is the service's last word: no role (404), none for this caller, or one that nobody may assume."""
    if answer.ok:
        return "AccessKeyId" not in answer.text
    return answer.status_code < 500 and answer.status_code not in PASSING_STATUSES
