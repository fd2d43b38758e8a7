"""What the administrator's settings do not allow in a spec, beyond the rules of the CRD's schema."""

import fnmatch
from collections.abc import Iterator
from urllib.parse import urlsplit

from transcription_api import reasons
from transcription_api.spec import CacheKind, Spec
from transcription_api.status import Failure

from transcription_operator.config import Config
from transcription_operator.reconcile.termination import make_failure

# The host that an absent endpointURL stands for.
AWS_HOST = "s3.amazonaws.com"


def find_policy_violation(spec: Spec, config: Config) -> Failure | None:
    """The failure of a spec that the settings do not allow, or None if they allow it."""
    if spec.model.cache.type is CacheKind.NODE and config.node_cache_path is None:
        message = (
            "spec.model.cache.type: got Node, expected None or PersistentVolumeClaim: no node folder is configured"
        )
        return make_failure(reasons.NODE_CACHE_DISABLED, message)
    for field, url in _endpoints(spec):
        host = (urlsplit(url).hostname or "") if url else AWS_HOST
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


def _is_allowed(host: str, patterns: tuple[str, ...]) -> bool:
    return any(fnmatch.fnmatchcase(host.lower(), pattern.lower()) for pattern in patterns)
