"""Answer GET /progress as pods would, each at a loopback address of its own."""

import asyncio
import contextlib
import itertools
import json
from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Any

import pytest
from transcription_api import names
from transcription_operator.models.objects import PodView

from tests.support.controlplane import free_ports
from tests.support.kubernetes_objects import STARTED, pod

Answer = Callable[[asyncio.StreamWriter], Awaitable[None]]
_numbers = itertools.count(2)


def http_response(body: bytes, *headers: str, status: str = "200 OK") -> bytes:
    """Return a whole HTTP response."""
    lines = [f"HTTP/1.1 {status}", f"Content-Length: {len(body)}", *headers, "", ""]
    return "\r\n".join(lines).encode() + body


def sends(*pieces: bytes) -> Answer:
    """Return an answer that sends these pieces, with a pause after each."""

    async def answer(writer: asyncio.StreamWriter) -> None:
        for piece in pieces:
            writer.write(piece)
            await writer.drain()
            await asyncio.sleep(0.02)

    return answer


def says(**progress: Any) -> Answer:
    """Return the answer of a worker with this progress."""
    return sends(http_response(json.dumps(progress).encode()))


async def hangs(_writer: asyncio.StreamWriter) -> None:
    """Take the request and never answer."""
    await asyncio.sleep(60)


async def drips(writer: asyncio.StreamWriter) -> None:
    """Answer a byte at a time, without an end."""
    writer.write(b"HTTP/1.1 200 OK\r\n\r\n")
    while True:
        writer.write(b" ")
        await writer.drain()
        await asyncio.sleep(0.02)


async def floods(writer: asyncio.StreamWriter) -> None:
    """Answer as fast as the connection takes it, without an end."""
    writer.write(b"HTTP/1.1 200 OK\r\n\r\n")
    while True:
        writer.write(b" " * 65_536)
        await writer.drain()


class ProgressPod:
    """A pod whose program answers each request by `answer`. `requests` counts them."""

    def __init__(self, answer: Answer) -> None:
        number = next(_numbers)
        self.requests = 0
        self.address = f"127.0.{number // 250}.{number % 250 + 1}"
        self.answer = answer
        self._serving: set[asyncio.Task[None]] = set()

    @property
    def view(self) -> PodView:
        return pod({"running": {"startedAt": STARTED}}, phase="Running", podIP=self.address)

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.requests += 1
        task = asyncio.current_task()
        assert task is not None
        self._serving.add(task)
        with contextlib.suppress(OSError, asyncio.IncompleteReadError, asyncio.CancelledError):
            await reader.readuntil(b"\r\n\r\n")
            await self.answer(writer)
        writer.close()
        with contextlib.suppress(OSError):
            await writer.wait_closed()
        self._serving.discard(task)

    async def end(self) -> None:
        """End the requests that are still being answered."""
        for task in [*self._serving]:
            task.cancel()
        await asyncio.gather(*self._serving, return_exceptions=True)


@contextlib.asynccontextmanager
async def progress_pods(*answers: Answer) -> AsyncIterator[list[ProgressPod]]:
    """Run one pod for each answer."""
    pods = [ProgressPod(answer) for answer in answers]
    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(names, "PROGRESS_PORT", free_ports(1)[0])
        async with contextlib.AsyncExitStack() as stack:
            for item in pods:
                server = await asyncio.start_server(item.serve, item.address, names.PROGRESS_PORT)
                stack.push_async_callback(item.end)
                stack.callback(server.close)
            yield pods
