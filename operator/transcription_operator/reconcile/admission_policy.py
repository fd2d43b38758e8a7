"""What the administrator's settings do not allow in a spec, and what the rules of the CRD's schema cannot tell."""

import fnmatch
import re
from collections.abc import Iterator
from urllib.parse import urlsplit

from transcription_api import reasons
from transcription_api.spec import CacheKind, Spec
from transcription_api.status import Failure

from transcription_operator.config import Config
from transcription_operator.manifests.gpu_memory import parse_quantity
from transcription_operator.reconcile.termination import make_failure

# Of spec.failurePolicy.maxFailedFiles, whose type a schema of another version may not tell.
NUMBER_OR_PERCENTAGE = re.compile(r"[0-9]{1,6}|[0-9]{1,2}%|100%")
# The host that an absent endpointURL stands for.
AWS_HOST = "s3.amazonaws.com"
# With any other character one parser of URLs may see another host than the next: urllib3, with which the worker connects,
# ends the host at a backslash, and urlsplit does not.
NAME = re.compile(r"[A-Za-z0-9._-]+")
BRACKETED_ADDRESS = re.compile(r"[0-9A-Fa-f:.]+")


def find_policy_violation(spec: Spec, config: Config) -> Failure | None:
    """The failure of a spec that the settings do not allow or that names no host, or None if they allow it."""
    if spec.model.cache.type is CacheKind.NODE and config.node_cache_path is None:
        message = (
            "spec.model.cache.type: got Node, expected None or PersistentVolumeClaim: no node folder is configured"
        )
        return make_failure(reasons.NODE_CACHE_DISABLED, message)
    limit = spec.failure_policy.max_failed_files
    if isinstance(limit, str) != str(limit).endswith("%") or not NUMBER_OR_PERCENTAGE.fullmatch(str(limit)):
        message = (
            f"spec.failurePolicy.maxFailedFiles: got {limit!r}, expected a number of files from 0, or a percentage"
        )
        return make_failure(reasons.INVALID_SPEC, message)
    memory = spec.device.min_memory
    if memory is not None and parse_quantity(memory) is None:
        message = f"spec.device.minMemory: got {memory!r}, expected an amount of memory as in 24G"
        return make_failure(reasons.INVALID_SPEC, message)
    for field, url in _endpoints(spec):
        host = _host(url) if url else AWS_HOST
        if host is None:
            return make_failure(
                reasons.INVALID_SPEC, f"{field}: got {_shown(url)}, expected a URL with a host's name or address"
            )
        if config.allowed_endpoints and not _is_allowed(host, config.allowed_endpoints):
            expected = ", ".join(config.allowed_endpoints)
            message = f"{field}: got host {host!r}, expected one of {expected}"
            return make_failure(reasons.ENDPOINT_NOT_ALLOWED, message)
    return None


def _endpoints(spec: Spec) -> Iterator[tuple[str, str | None]]:
    yield "spec.source.s3.endpointURL", spec.source.s3.endpoint_url
    yield "spec.destination.s3.endpointURL", spec.destination.s3.endpoint_url
    if spec.model.s3 is not None:
        yield "spec.model.s3.endpointURL", spec.model.s3.endpoint_url


def _host(url: str) -> str | None:
    """The host that the URL names, or None if it names none or not all parsers of URLs agree on it."""
    try:
        parts = urlsplit(url)
        host, _ = parts.hostname or "", parts.port
    except ValueError:
        return None
    pattern = BRACKETED_ADDRESS if parts.netloc.startswith("[") else NAME
    return host if "@" not in parts.netloc and pattern.fullmatch(host) else None


def _shown(url: str | None) -> str:
    return "a user name" if "@" in (url or "") else repr(url)


def _is_allowed(host: str, patterns: tuple[str, ...]) -> bool:
    return any(fnmatch.fnmatchcase(host.lower(), pattern.lower()) for pattern in patterns)
