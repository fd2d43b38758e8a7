"""Follow the objects of a namespace with a watch, past the proxy, and remember every version that there was."""

import http.client
import json
import socket
import threading
from contextlib import suppress
from urllib.parse import urlsplit

from tests.support.api_client import Json
from tests.support.controlplane import ADMIN_TOKEN, ControlPlane, unverified_context
from tests.support.simulated_cluster import PATIENCE, until


class Mirror(threading.Thread):
    """The objects of one collection by name. `history` has each watch event: its type and the object."""

    def __init__(self, plane: ControlPlane, path: str) -> None:
        super().__init__(daemon=True)
        self._address = urlsplit(plane.url).netloc
        self._path = path
        self._connection: http.client.HTTPSConnection | None = None
        self._stopped = False
        self.objects: dict[str, Json] = {}
        self.history: list[tuple[str, Json]] = []
        self._version = self._list()
        self.start()

    def items(self) -> list[Json]:
        return [*self.objects.values()]

    def run(self) -> None:
        while not self._stopped:
            with suppress(OSError, http.client.HTTPException, ValueError):
                self._follow()
        if self._connection is not None:
            self._connection.close()

    def stop(self) -> None:
        self._stopped = True
        if self._connection is not None and self._connection.sock is not None:
            with suppress(OSError):
                self._connection.sock.shutdown(socket.SHUT_RDWR)
        self.join()

    def _list(self) -> str:
        # A CRD that is established may be refused for a moment more.
        found = until(self._listed, f"the list of {self._path}", PATIENCE)
        self.objects = {item["metadata"]["name"]: item for item in found["items"]}
        return str(found["metadata"]["resourceVersion"])

    def _listed(self) -> Json | None:
        response = self._open("")
        found: Json = json.loads(response.read())
        return found if response.status == 200 else None

    def _follow(self) -> None:
        response = self._open(f"?watch=true&timeoutSeconds=3600&resourceVersion={self._version}")
        while line := response.readline():
            event = json.loads(line)
            if event["type"] == "ERROR":  # the version is too old
                self._version = self._list()
                return
            self._take(event["type"], event["object"])

    def _take(self, kind: str, item: Json) -> None:
        meta = item["metadata"]
        self._version = meta["resourceVersion"]
        self.history.append((kind, item))
        if kind == "DELETED":
            self.objects.pop(meta["name"], None)
        else:
            self.objects[meta["name"]] = item

    def _open(self, query: str) -> http.client.HTTPResponse:
        if self._connection is not None:
            self._connection.close()
        self._connection = http.client.HTTPSConnection(self._address, context=unverified_context())
        self._connection.request("GET", self._path + query, headers={"Authorization": f"Bearer {ADMIN_TOKEN}"})
        return self._connection.getresponse()
