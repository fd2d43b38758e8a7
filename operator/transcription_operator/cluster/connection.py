"""Requests to the apiserver, with plain JSON as bodies.

The Kubernetes client's typed models are not used: they take a third off the rate at which a burst of resources is handled,
and most of their fields are never read.
"""

import json
import os
from collections.abc import Callable, Mapping
from typing import Any

import aiohttp
from kubernetes.aio import config
from kubernetes.aio.client import ApiClient, Configuration

Json = dict[str, Any]

JSON = "application/json"
MERGE_PATCH = "application/merge-patch+json"
# Seconds. The write of a leader that is about to lose its lease must have ended before another replica takes over.
REQUEST_TIMEOUT_SECONDS = 10.0
WRITES = ("POST", "PUT", "PATCH", "DELETE")


class ApiError(Exception):
    """An error response of the apiserver: the HTTP status, and the reason and message of its Status object."""

    def __init__(self, status: int, reason: str, message: str) -> None:
        super().__init__(f"{status} {reason}: {message}")
        self.status = status
        self.reason = reason
        self.message = message

    @property
    def not_found(self) -> bool:
        """Whether the object does not exist."""
        return self.status == 404

    @property
    def conflict(self) -> bool:
        """Whether the object exists already, or has changed since it was read."""
        return self.status == 409


class UnreachableError(Exception):
    """The apiserver did not respond."""


class NotLeadingError(Exception):
    """A write was not sent, because this replica is not the leader."""


class Connection:
    """Requests to one apiserver. `may_write` is called before each write and must return True for it to be sent."""

    def __init__(self, api: ApiClient, may_write: Callable[[], bool]) -> None:
        self._api = api
        self._may_write = may_write

    async def request(
        self,
        method: str,
        path: str,
        body: Json | None = None,
        query: Mapping[str, str] | None = None,
        content_type: str = JSON,
    ) -> Json:
        """Send one request and return the JSON of the response.

        Raises:
            ApiError: the response is not a 2xx one.
            UnreachableError: there was no response within REQUEST_TIMEOUT_SECONDS.
            NotLeadingError: a write while this replica is not the leader.
        """
        if method in WRITES and not self._may_write():
            raise NotLeadingError(f"{method} {path}")
        try:
            status, data = await self._send(method, path, body, query, content_type)
        except (aiohttp.ClientError, TimeoutError, OSError) as error:
            raise UnreachableError(f"{method} {path}: {type(error).__name__}: {error}") from error
        if not 200 <= status <= 299:
            raise _error(status, data)
        return json.loads(data)  # type: ignore[no-any-return]

    async def _send(
        self, method: str, path: str, body: Json | None, query: Mapping[str, str] | None, content_type: str
    ) -> tuple[int, bytes]:
        method, url, headers, *_ = await self._api.param_serialize(
            method,
            path,
            query_params=list((query or {}).items()),
            header_params={"Accept": JSON, "Content-Type": content_type},
            auth_settings=["BearerToken"],
        )
        response = await self._api.call_api(method, url, headers, body, _request_timeout=REQUEST_TIMEOUT_SECONDS)
        return response.status, await response.read()

    async def close(self) -> None:
        """Close the pool of connections."""
        await self._api.close()


async def connect(connections: int, may_write: Callable[[], bool]) -> Connection:
    """Connect with the pod's service account inside a cluster, and with the current context of KUBECONFIG outside.

    `connections` is the number of requests that may be sent at the same time.
    """
    settings = Configuration()
    if "KUBERNETES_SERVICE_HOST" in os.environ:
        config.load_incluster_config(client_configuration=settings)
    else:
        await config.load_kube_config(client_configuration=settings)
    settings.connection_pool_maxsize = connections
    # Read neither ~/.netrc, which aiohttp would do in a thread before each request, nor the proxies of the environment.
    # Kopf's own client does the same.
    settings.client_session_kwargs = {"trust_env": False}
    return Connection(ApiClient(settings), may_write)


def _error(status: int, data: bytes) -> ApiError:
    try:
        body = json.loads(data)
    except ValueError:
        body = None
    if not isinstance(body, dict):
        return ApiError(status, "", data[:200].decode(errors="replace"))
    return ApiError(status, body.get("reason") or "", body.get("message") or "")
