"""Requests to the apiserver, with plain JSON as bodies.

Of the Kubernetes client the configuration and the credentials are used. Its typed models are not: they take a third off the
rate at which a burst of resources is handled, and most of their fields are never read. Nor are its requests, which walk
through each body and header several times.
"""

import os
from collections.abc import Callable, Iterator, Mapping
from typing import Any, NamedTuple

import aiohttp
import orjson
from kubernetes.aio import config
from kubernetes.aio.client import ApiClient, Configuration

from transcription_operator.cluster.clock import ServerClock
from transcription_operator.models.json_text import encode_json

Json = dict[str, Any]

JSON = "application/json"
MERGE_PATCH = "application/merge-patch+json"
# A list of the objects' metadata alone.
METADATA_LIST = "application/json;as=PartialObjectMetadataList;g=meta.k8s.io;v=v1"
# Seconds. The write of a leader that is about to lose its lease must have ended before another replica takes over.
REQUEST_TIMEOUT_SECONDS = 10.0
WRITES = ("POST", "PUT", "PATCH", "DELETE")
# Seconds. The apiserver asks for 1 to 60; whatever a proxy asks for, nothing waits longer because of it.
LONGEST_RETRY_AFTER_SECONDS = 60.0
# The cause of a refusal in a namespace that is being deleted (corev1.NamespaceTerminatingCause).
NAMESPACE_TERMINATING = "NamespaceTerminating"
# Characters of a body that is no JSON, in an error's message.
EXCERPT_CHARACTERS = 200


class Cause(NamedTuple):
    """One of details.causes of a Status object: a field that is invalid, or a machine-readable reason. Any may be empty."""

    reason: str
    message: str
    field: str


class ApiError(Exception):
    """An error response of the apiserver: the HTTP status, and what its Status object says.

    `retry_after` is the number of seconds for which the apiserver wants to be left alone, if it said so.
    """

    def __init__(
        self,
        status: int,
        reason: str,
        message: str,
        retry_after: float | None = None,
        causes: tuple[Cause, ...] = (),
    ) -> None:
        super().__init__(f"{status} {reason}: {message}")
        self.status = status
        self.reason = reason
        self.message = message
        self.retry_after = retry_after
        self.causes = causes

    @property
    def denied(self) -> bool:
        """Whether an admission webhook or policy denied the request. It chooses the status itself, even 404 or 409."""
        return self.message.startswith("admission webhook ") or "ValidatingAdmissionPolicy '" in self.message

    @property
    def not_found(self) -> bool:
        """Whether the object does not exist."""
        return self.status == 404 and not self.denied

    @property
    def conflict(self) -> bool:
        """Whether the object exists already, or has changed since it was read."""
        return self.status == 409 and not self.denied

    @property
    def invalid(self) -> bool:
        """Whether a field of the object does not fit the schema or a rule of the API; `causes` name it."""
        return self.status == 422 and not self.denied

    @property
    def namespace_ending(self) -> bool:
        """Whether nothing is created any more in the namespace, because it is being deleted."""
        return any(cause.reason == NAMESPACE_TERMINATING for cause in self.causes)

    @property
    def expired(self) -> bool:
        """Whether the apiserver no longer has the version that was asked for."""
        return self.status == 410


class UnreachableError(Exception):
    """The apiserver did not respond, or something else responded in its place."""


class NotLeadingError(Exception):
    """A write was not sent, because this replica is not the leader."""


class Response(NamedTuple):
    """The HTTP status, the body, and the headers that matter; None stands for an absent header."""

    status: int
    data: bytes
    date: str | None = None
    retry_after: str | None = None


class Connection:
    """Requests to one apiserver. `may_write` is called before each write and must return True for it to be sent.

    `clock` is the time of that apiserver. `on_request` is told of each request that was sent, by its method and the HTTP
    status of the response, which is 0 where there was none.
    """

    def __init__(self, api: ApiClient, may_write: Callable[[], bool]) -> None:
        self._api = api
        self._session: aiohttp.ClientSession | None = None
        self._may_write = may_write
        self.clock = ServerClock()
        self.on_request: Callable[[str, int], None] = _tell_nobody

    async def request(
        self,
        method: str,
        path: str,
        body: Json | None = None,
        query: Mapping[str, str] | None = None,
        content_type: str = JSON,
        accept: str = JSON,
    ) -> Json:
        """Send one request and return the JSON of the response, in the form that `accept` names.

        Raises:
            ApiError: the response is not a 2xx one.
            UnreachableError: there was no response within REQUEST_TIMEOUT_SECONDS, or none that an apiserver gives.
            NotLeadingError: a write while this replica is not the leader.
        """
        if method in WRITES and not self._may_write():
            raise NotLeadingError(f"{method} {path}")
        sent = self.clock.monotonic()
        try:
            response = await self._send(method, path, body, query, content_type, accept)
        except (aiohttp.ClientError, TimeoutError, OSError) as error:
            self.on_request(method, 0)
            raise UnreachableError(f"{method} {path}: {type(error).__name__}: {error}") from error
        self.on_request(method, response.status)
        if not 200 <= response.status <= 299:
            raise _error(response)
        found = _parse(response.data)
        if found is None or "kind" not in found:
            raise UnreachableError(
                f"{method} {path}: status {response.status} and no object: {_excerpt(response.data)}"
            )
        if found["kind"] == "Status" and found.get("status") == "Failure":  # a gateway's, which knows no other status
            raise UnreachableError(f"{method} {path}: status {response.status} and an error: {found.get('message')}")
        self.clock.observe(response.date, sent)  # no proxy's error page has set this date
        return found

    async def _send(
        self,
        method: str,
        path: str,
        body: Json | None,
        query: Mapping[str, str] | None,
        content_type: str,
        accept: str,
    ) -> Response:
        settings = self._api.configuration
        headers = {"Accept": accept, "Content-Type": content_type, "User-Agent": self._api.user_agent}
        if (token := await settings.get_api_key_with_prefix("BearerToken", "authorization")) is not None:
            headers["authorization"] = token
        async with self._open_session().request(
            method,
            settings.host + path,
            params=query,
            data=None if body is None else encode_json(body),
            headers=headers,
            proxy=settings.proxy,
            proxy_headers=settings.proxy_headers,
            server_hostname=settings.tls_server_name,
        ) as response:
            told = response.headers
            return Response(response.status, await response.read(), told.get("Date"), told.get("Retry-After"))

    def _open_session(self) -> aiohttp.ClientSession:
        """The pool of connections, which is made at the first request since it belongs to the event loop of that.

        It reads neither ~/.netrc, which aiohttp would do in a thread before each request, nor the proxies of the environment.
        Kopf's own client does the same.
        """
        if self._session is None:
            limit, tls = self._api.configuration.connection_pool_maxsize, self._api.rest_client.ssl_context
            self._session = aiohttp.ClientSession(
                connector=aiohttp.TCPConnector(limit=limit, ssl=tls),
                timeout=aiohttp.ClientTimeout(total=REQUEST_TIMEOUT_SECONDS),
                trust_env=False,
            )
        return self._session

    async def close(self) -> None:
        """Close the pool of connections."""
        if self._session is not None:
            await self._session.close()
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
    return Connection(ApiClient(settings), may_write)


def _tell_nobody(method: str, status: int) -> None:
    """Do nothing: nobody counts the requests."""


def _error(response: Response) -> ApiError:
    body, retry_after = _parse(response.data), _seconds(response.retry_after)
    if body is None:
        return ApiError(response.status, "", _excerpt(response.data), retry_after)
    causes = tuple(_causes(body))
    return ApiError(response.status, body.get("reason") or "", body.get("message") or "", retry_after, causes)


def _parse(data: bytes) -> Json | None:
    """The JSON object, or None for anything else."""
    try:
        body = orjson.loads(data)
    except ValueError:
        return None
    return body if isinstance(body, dict) else None


def _causes(body: Json) -> Iterator[Cause]:
    """The causes of a Status object. A webhook writes its own, so nothing about their form is sure."""
    details = body.get("details")
    causes = details.get("causes") if isinstance(details, dict) else None
    for cause in causes if isinstance(causes, list) else ():
        if isinstance(cause, dict):
            yield Cause(*(str(cause.get(name) or "") for name in Cause._fields))


def _excerpt(data: bytes) -> str:
    return data[:EXCERPT_CHARACTERS].decode(errors="replace")


def _seconds(retry_after: str | None) -> float | None:
    """The seconds of a Retry-After header. None for an absent header, and for a date, which the apiserver never sends."""
    try:
        seconds = float(retry_after or "")
    except ValueError:
        return None
    return min(seconds, LONGEST_RETRY_AFTER_SECONDS) if seconds >= 0 else None
