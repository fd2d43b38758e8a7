"""Kopf's HTTP session: whatever would end a watch for good becomes what Kopf answers with another try.

Kopf survives refusals with a status of 403, 429 or 5xx and connections that break. It ends the whole operator after any other
status, after a body that is no JSON, and after an ERROR event of a watch with another code than 410. Here such an answer
becomes a connection error, after which Kopf sends the request again with its own back-off, or an ERROR event with the code
410, after which Kopf lists and watches anew.

The events of a watch go to the informer from here, without Kopf's dispatch, which takes half a millisecond for each. Kopf
gets bookmarks in their place, from which it knows the version to watch on from.
"""

import logging
from collections.abc import AsyncIterator, Callable, Mapping
from functools import partial
from typing import Any

import aiohttp
import orjson

from transcription_operator.watch.restart_delay import RestartDelay

logger = logging.getLogger(__name__)

# The event after which Kopf lists anew, as the apiserver sends it when the version of a watch is too old.
EXPIRED = b'{"type":"ERROR","object":{"kind":"Status","status":"Failure","code":410,"reason":"Expired"}}\n'
# What a list or a page of the discovery has: the one or the other as a list.
CONTENTS = ("items", "groups", "resources", "versions")

Event = dict[str, Any]


class KopfSession:
    """A middleware of aiohttp for Kopf's session. `headers` returns the present credentials; they are read for each request.

    `take` is given each event of a watch, and returns whether Kopf need not see it; see `Informer.take`.
    What fails is logged once, by the path of its request, and once more when that path answers.
    """

    def __init__(self, headers: Callable[[], Mapping[str, str]], take: Callable[[Event], bool]) -> None:
        self._headers = headers
        self._take = take
        self._problems: dict[str, str] = {}
        self._delays: dict[str, RestartDelay] = {}

    async def __call__(
        self, request: aiohttp.ClientRequest, handler: aiohttp.ClientHandlerType
    ) -> aiohttp.ClientResponse:
        """Send one request of Kopf.

        Raises:
            aiohttp.ClientConnectionError: Kopf shall send the request again.
            aiohttp.ClientPayloadError: Kopf shall begin its list anew.
        """
        request.headers.update(self._headers())
        watching = "watch" in request.url.query
        name = f"the watch of {request.url.path}" if watching else request.url.path
        try:
            response = await handler(request)
            await self._check(response, name, watching)
        except (aiohttp.ClientError, TimeoutError, OSError) as error:
            self._note(name, str(error) or type(error).__name__)
            raise
        return response

    async def _check(self, response: aiohttp.ClientResponse, name: str, watching: bool) -> None:
        status = response.status
        if status == 429:
            self._note(name, "status 429")  # Kopf itself waits for as long as the apiserver asks
        elif status == 410 and watching:
            response.status = 200
            self._filter(response, name, EXPIRED)
        elif status == 410:
            response.close()
            raise aiohttp.ClientPayloadError("the list has expired")
        elif status >= 400 or response.content_type != "application/json":
            response.close()
            raise aiohttp.ClientConnectionError(f"status {status}, {response.content_type}")
        elif watching:
            self._filter(response, name)
        elif _is_page(await response.read()):
            self._note(name, None)
        else:
            raise aiohttp.ClientConnectionError(f"status {status}, and neither a list nor a page of the discovery")

    def _filter(self, response: aiohttp.ClientResponse, name: str, instead: bytes = b"") -> None:
        delay = self._delays.setdefault(name, RestartDelay())
        stream = WatchStream(response.content, delay, partial(self._note, name), self._take, instead)
        response.content = stream  # type: ignore[assignment]

    def _note(self, name: str, problem: str | None) -> None:
        """Log a problem of a request, or its end, if that is news."""
        if problem == self._problems.get(name):
            return
        if problem is None:
            del self._problems[name]
            logger.info("%s answers again", name)
        else:
            self._problems[name] = problem
            logger.warning("%s is tried again: %s", name, problem)


class WatchStream:
    """The body of a watch, whose events are taken out of it. What is no event ends the stream with the event EXPIRED.

    After the end it waits before Kopf may watch anew. All other attributes are those of the stream that it wraps.
    """

    def __init__(
        self,
        stream: aiohttp.StreamReader,
        delay: RestartDelay,
        report: Callable[[str | None], None],
        take: Callable[[Event], bool],
        instead: bytes = b"",
    ) -> None:
        self._stream = stream
        self._delay = delay
        self._report = report
        self._take = take
        self._instead = instead  # sent in place of what the stream holds

    def __getattr__(self, name: str) -> Any:
        return getattr(self._stream, name)

    async def iter_chunked(self, size: int) -> AsyncIterator[bytes]:
        """Whole lines, some at a time. The chunks that are read have `size` bytes at most.

        Raises:
            aiohttp.ClientPayloadError: the connection broke; Kopf watches on from the last version that it has seen.
        """
        self._delay.started()
        try:
            async for lines in self._events(size):
                yield lines
        except (aiohttp.ClientError, OSError) as error:
            await self._delay.wait()
            raise aiohttp.ClientPayloadError(f"the watch broke: {error}") from error
        await self._delay.wait()

    async def _events(self, size: int) -> AsyncIterator[bytes]:
        if self._instead:
            await self._delay.wait()
            yield self._instead
            return
        rest = b""
        async for chunk in self._stream.iter_chunked(size):
            *lines, rest = (rest + chunk).split(b"\n")
            last: Event | None = None
            for line in filter(None, lines):
                event = _parse_event(line)
                if event is None:
                    self._report(f"the watch shows {line[:200].decode(errors='replace')}")
                    await self._delay.wait()
                    yield EXPIRED
                    return
                self._report(None)
                last = event if self._take(event) else None
                if last is None:
                    yield line + b"\n"
            if last is not None:
                yield _bookmark(last)


def _parse_event(line: bytes) -> Event | None:
    """The event that a line holds, or None if it is none that Kopf can take."""
    try:
        event = orjson.loads(line)
    except ValueError:
        return None
    if not isinstance(event, dict) or event.get("type") == "ERROR" or not isinstance(event.get("object"), dict):
        return None
    return event


def _bookmark(event: Event) -> bytes:
    """A bookmark of the version that an event shows, as a line, or nothing if it shows none."""
    meta = event["object"].get("metadata")
    version = meta.get("resourceVersion") if isinstance(meta, dict) else None
    if not isinstance(version, str):
        return b""
    return orjson.dumps({"type": "BOOKMARK", "object": {"metadata": {"resourceVersion": version}}}) + b"\n"


def _is_page(text: bytes) -> bool:
    try:
        body = orjson.loads(text)
    except ValueError:
        return False
    return isinstance(body, dict) and any(isinstance(body.get(name), list) for name in CONTENTS)
