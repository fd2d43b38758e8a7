"""Send requests to the apiserver over one kept connection, as an administrator or as one of the test's users."""

import http.client
import json
import ssl
from typing import Any
from urllib.parse import urlsplit

Json = dict[str, Any]


class RefusedError(RuntimeError):
    """Says that the apiserver answered with a status other than 2xx."""

    def __init__(self, status: int, body: Json) -> None:
        super().__init__(f"{status} {body.get('reason')}: {body.get('message')}")
        self.status = status
        self.message = str(body.get("message"))
        self.causes: list[Json] = (body.get("details") or {}).get("causes") or []


class Api:
    """A client of the apiserver that speaks JSON. It serves one thread at a time."""

    def __init__(self, url: str, token: str, context: ssl.SSLContext) -> None:
        self._address = urlsplit(url).netloc
        self._headers = {"Authorization": f"Bearer {token}", "Accept": "application/json"}
        self._context = context
        self._connection: http.client.HTTPSConnection | None = None

    def get(self, path: str) -> Json | None:
        """Return the object, or None if there is none."""
        try:
            return self.request("GET", path)
        except RefusedError as error:
            if error.status == 404:
                return None
            raise

    def items(self, path: str) -> list[Json]:
        items: list[Json] = self.request("GET", path)["items"]
        return items

    def post(self, path: str, body: Json) -> Json:
        return self.request("POST", path, body)

    def patch(self, path: str, body: Json) -> Json:
        """Send a merge patch."""
        return self.request("PATCH", path, body, "application/merge-patch+json")

    def delete(self, path: str) -> Json:
        return self.request("DELETE", path, {"propagationPolicy": "Background"})

    def request(self, method: str, path: str, body: Json | None = None, kind: str = "application/json") -> Json:
        """Send a request and return the response. It is sent once more if the kept connection was closed in the meantime."""
        data = None if body is None else json.dumps(body)
        headers = self._headers | {"Content-Type": kind}
        for last in (False, True):
            try:
                connection = self._kept()
                connection.request(method, path, data, headers)
                answer = connection.getresponse()
                text = answer.read()
                break
            except (http.client.HTTPException, OSError):
                self.close()
                if last:
                    raise
        parsed: Json = json.loads(text)
        if not 200 <= answer.status <= 299:
            raise RefusedError(answer.status, parsed)
        return parsed

    def close(self) -> None:
        if self._connection is not None:
            self._connection.close()
            self._connection = None

    def _kept(self) -> http.client.HTTPSConnection:
        if self._connection is None:
            self._connection = http.client.HTTPSConnection(self._address, context=self._context, timeout=30)
        return self._connection
