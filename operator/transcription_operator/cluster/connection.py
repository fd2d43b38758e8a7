"""Requests to the apiserver as plain JSON. Typed models would cost a third of the burst rate for fields nobody reads."""

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
# Seconds. Well below a lease's margin, so that a write of a leader that lost its lease does not come late.
REQUEST_TIMEOUT_SECONDS = 10.0
WRITES = ("POST", "PUT", "PATCH", "DELETE")


class ApiError(Exception):
    """The apiserver's no: HTTP status, and the reason and message of its Status object."""

    def __init__(self, status: int, reason: str, message: str) -> None:
        super().__init__(f"{status} {reason}: {message}")
        self.status = status
        self.reason = reason
        self.message = message

    @property
    def not_found(self) -> bool:
        return self.status == 404

    @property
    def conflict(self) -> bool:
        return self.status == 409


class UnreachableError(Exception):
    """No answer from the apiserver."""


class NotLeadingError(Exception):
    """A write was held back: another replica leads."""


class Connection:
    """One apiserver. `may_write` is asked before each write."""

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
        """The answer's JSON.

        Raises:
            ApiError: an answer other than 2xx.
            UnreachableError: none.
            NotLeadingError: a write while another replica leads.
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
        await self._api.close()


async def connect(connections: int, may_write: Callable[[], bool]) -> Connection:
    """The pod's own account inside a cluster, else the current context of KUBECONFIG."""
    settings = Configuration()
    if "KUBERNETES_SERVICE_HOST" in os.environ:
        config.load_incluster_config(client_configuration=settings)
    else:
        await config.load_kube_config(client_configuration=settings)
    settings.connection_pool_maxsize = connections
    # As Kopf's own client: neither ~/.netrc, read in a thread before each request, nor proxies from the environment.
    settings.client_session_kwargs = {"trust_env": False}
    return Connection(ApiClient(settings), may_write)


def _error(status: int, data: bytes) -> ApiError:
    try:
        said = json.loads(data)
    except ValueError:
        said = None
    if not isinstance(said, dict):
        return ApiError(status, "", data[:200].decode(errors="replace"))
    return ApiError(status, said.get("reason") or "", said.get("message") or "")
