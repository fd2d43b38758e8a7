"""Serve the parts of the Kubernetes API that the operator uses from memory, over HTTP, with the faults that a test scripts.

A test on a real kube-apiserver is worth more; this one is for answers that a real one gives only in a bad moment.
"""

import asyncio
import contextlib
import json
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import Any

from aiohttp import web
from kubernetes.aio.client import ApiClient, Configuration
from transcription_api import names
from transcription_operator.cluster import Connection

Json = dict[str, Any]
# Returns what is answered instead of the stored objects, or None.
Fault = Callable[[web.Request], web.StreamResponse | None]

# What the discovery shows: for each group the version, and one plural with its kind. The core group has no name.
GROUPS = {
    names.GROUP: (names.VERSION, names.PLURAL, names.KIND),
    "batch": ("v1", "jobs", "Job"),
    "apiextensions.k8s.io": ("v1", "customresourcedefinitions", "CustomResourceDefinition"),
    "": ("v1", "namespaces", "Namespace"),
}


class ScriptedApiserver:
    """Keeps objects by their path; each change gets the next resourceVersion and goes to every watch of its collection."""

    def __init__(self) -> None:
        self.version = 100
        self.objects: dict[str, Json] = {}
        self.faults: list[Fault] = []
        self.headers: dict[str, str] = {}
        self.requests: list[str] = []  # method and path, with the query
        # Returns the paths of the fields of a status that does not fit the schema.
        self.invalid_fields: Callable[[Json], list[str]] = lambda _status: []
        self.url = ""
        self._watches: list[tuple[str, asyncio.Queue[Json | bytes]]] = []
        self._history: list[tuple[str, Json]] = []  # the path and event of each change

    def put(self, path: str, body: Json) -> Json:
        """Store an object under its path, as a client other than the operator would."""
        self.version += 1
        kind = "ADDED" if path not in self.objects else "MODIFIED"
        meta = {"uid": f"uid-of-{path.rpartition('/')[2]}", "creationTimestamp": "2026-01-01T10:00:00Z"}
        meta |= self.objects.get(path, {}).get("metadata", {}) | body.get("metadata", {})
        stored = body | {"metadata": meta | {"resourceVersion": str(self.version)}}
        self.objects[path] = stored
        self._change(path, {"type": kind, "object": stored})
        return stored

    def remove(self, path: str) -> Json:
        self.version += 1
        gone = self.objects.pop(path)
        gone = gone | {"metadata": gone["metadata"] | {"resourceVersion": str(self.version)}}
        self._change(path, {"type": "DELETED", "object": gone})
        return gone

    def _change(self, path: str, event: Json) -> None:
        self._history.append((path, event))
        self.tell(path, event)

    def tell(self, path: str, event: Json | bytes) -> None:
        """Send an event, or any bytes, to the watches of the path. Empty bytes end them."""
        for watched, queue in self._watches:
            if _is_in(path, watched):
                queue.put_nowait(event)

    def watches(self, plural: str) -> int:
        """Return how many watches of a kind are open."""
        return sum(watched.endswith(plural) for watched, _ in self._watches)

    def count(self, text: str) -> int:
        """Return how many requests had this text in their method, path and query."""
        return sum(text in request for request in self.requests)

    async def handle(self, request: web.Request) -> web.StreamResponse:
        self.requests.append(f"{request.method} {request.path_qs}")
        for fault in self.faults:
            response = fault(request)
            if response is not None:
                return response
        if request.query.get("watch"):
            return await self._watch(request)
        status, body = self._answer(request.method, request.path, await request.read())
        return web.json_response(body, status=status, headers=self.headers)

    def _answer(self, method: str, path: str, data: bytes) -> tuple[int, Json]:
        if (found := _discovery(path)) is not None:
            return 200, found
        if method == "PUT" and path.endswith("/status"):
            invalid = self.invalid_fields(json.loads(data)["status"])
            if invalid:
                return 422, invalid_body(invalid)
        path = path.removesuffix("/status")
        if method == "POST":
            body = json.loads(data)
            return 201, self.put(f"{path}/{body['metadata']['name']}", body)
        if path in self.objects:
            return self._write(method, path, json.loads(data) if data else {})
        if any(path.endswith(f"/{plural}") for plural in (names.PLURAL, "jobs", "pods", "events", "workloads")):
            items = [item for name, item in self.objects.items() if _is_in(name, path)]
            return 200, {"kind": "List", "metadata": {"resourceVersion": str(self.version)}, "items": items}
        return 404, error_body(404, "NotFound", f"{path} does not exist")

    def _write(self, method: str, path: str, change: Json) -> tuple[int, Json]:
        found = self.objects[path]
        condition = change.get("preconditions", {}) if method == "DELETE" else change.get("metadata", {})
        if any(key in condition and condition[key] != found["metadata"][key] for key in ("uid", "resourceVersion")):
            return 409, error_body(409, "Conflict", "the object has been modified")
        if method == "DELETE":
            return 200, self.remove(path)
        if method == "PATCH":
            return 200, self.put(path, _merged(found, {name: change.get(name, {}) for name in ("metadata", "spec")}))
        return 200, self.put(path, found | {"status": change["status"]}) if method == "PUT" else found

    def restore(self, objects: dict[str, Json], version: int) -> None:
        """Go back to earlier objects and an earlier version, as an etcd restored from a backup does. No watch shows it."""
        self.objects, self.version, self._history = dict(objects), version, []

    async def _watch(self, request: web.Request) -> web.StreamResponse:
        response = web.StreamResponse(headers={"Content-Type": "application/json"})
        queue: asyncio.Queue[Json | bytes] = asyncio.Queue()
        self._watches.append((request.path, queue))
        for path, change in self._history:
            if _is_in(path, request.path) and _version(change) > int(request.query["resourceVersion"]):
                queue.put_nowait(change)
        try:
            await response.prepare(request)
            while True:
                event = await queue.get()
                if event == b"":
                    return response
                await response.write(event if isinstance(event, bytes) else encode_event(event))
        finally:
            self._watches.remove((request.path, queue))


@contextlib.asynccontextmanager
async def scripted_apiserver() -> AsyncIterator[ScriptedApiserver]:
    """Serve on a free loopback port for the block."""
    server = ScriptedApiserver()
    app = web.Application()
    app.router.add_route("*", "/{path:.*}", server.handle)
    runner = web.AppRunner(app, access_log=None, shutdown_timeout=0.1)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0)
    await site.start()
    server.url = f"http://127.0.0.1:{runner.addresses[0][1]}"
    try:
        yield server
    finally:
        await runner.cleanup()


@contextlib.asynccontextmanager
async def connected(server: ScriptedApiserver) -> AsyncIterator[Connection]:
    """Connect the operator's client for the block."""
    connection = Connection(ApiClient(Configuration(host=server.url)), lambda: True)
    try:
        yield connection
    finally:
        await connection.close()


def write_kubeconfig(server: ScriptedApiserver, folder: Path, token: str) -> Path:
    """Write a kubeconfig that leads to the server."""
    config = {
        "apiVersion": "v1",
        "kind": "Config",
        "clusters": [{"name": "scripted", "cluster": {"server": server.url}}],
        "users": [{"name": "scripted", "user": {"token": token}}],
        "contexts": [{"name": "scripted", "context": {"cluster": "scripted", "user": "scripted"}}],
        "current-context": "scripted",
    }
    path = folder / "kubeconfig"
    path.write_text(json.dumps(config))
    return path


def error_body(code: int, reason: str, message: str) -> Json:
    """Return a Status object, as the apiserver describes a failure."""
    return {
        "kind": "Status",
        "apiVersion": "v1",
        "status": "Failure",
        "code": code,
        "reason": reason,
        "message": message,
    }


def invalid_body(fields: list[str]) -> Json:
    """Return the Status object for an object whose fields are invalid; it names no field that is empty."""
    causes = [{"reason": "FieldValueInvalid", "message": "Too long", "field": field} for field in fields if field]
    words = ", ".join(f"{field}: Invalid value: Too long" for field in fields)
    return error_body(422, "Invalid", f'TranscriptionJob "a" is invalid: {words}') | {"details": {"causes": causes}}


def error_response(code: int, reason: str, headers: dict[str, str] | None = None) -> web.Response:
    return web.json_response(error_body(code, reason, reason), status=code, headers=headers)


def _discovery(path: str) -> Json | None:
    if path == "/api":
        return {"kind": "APIVersions", "versions": ["v1"]}
    if path == "/apis":
        versions = {name: {"groupVersion": f"{name}/{v}", "version": v} for name, (v, _, _) in GROUPS.items() if name}
        groups = [{"name": name, "versions": [one], "preferredVersion": one} for name, one in versions.items()]
        return {"kind": "APIGroupList", "groups": groups}
    for group, (version, plural, kind) in GROUPS.items():
        if path == (f"/apis/{group}/{version}" if group else f"/api/{version}"):
            resource = {"name": plural, "singularName": "", "kind": kind, "namespaced": True}
            verbs = ["get", "list", "watch", "create", "delete", "patch", "update"]
            return {"kind": "APIResourceList", "resources": [resource | {"verbs": verbs}]}
    return None


def encode_event(event: Json) -> bytes:
    """Return one line of a watch, as the apiserver writes it."""
    return json.dumps(event, separators=(",", ":"), ensure_ascii=False).encode() + b"\n"


def _version(event: Json) -> int:
    return int(event["object"]["metadata"]["resourceVersion"])


def _merged(found: Json, change: Json) -> Json:
    """Apply a JSON merge patch."""
    merged = {name: value for name, value in found.items() if change.get(name, value) is not None}
    for name, value in change.items():
        if value is not None:
            merged[name] = _merged(found.get(name) or {}, value) if isinstance(value, dict) else value
    return merged


def _is_in(path: str, collection: str) -> bool:
    """Whether an object's path belongs to a collection, of one namespace or of all."""
    parts = path.rsplit("/", 4)  # prefix, "namespaces", namespace, plural, name
    if len(parts) < 5 or parts[1] != "namespaces":
        return False
    return collection in (path.rpartition("/")[0], f"{parts[0]}/{parts[3]}")
