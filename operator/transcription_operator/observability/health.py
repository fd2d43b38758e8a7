"""Serve the probes and the metrics over HTTP: /healthz, /readyz, /metrics."""

import logging
from collections.abc import Awaitable, Callable

from aiohttp import web
from prometheus_client import CollectorRegistry
from prometheus_client.exposition import CONTENT_TYPE_LATEST, generate_latest

logger = logging.getLogger(__name__)

# Returns what is wrong; an empty list means that nothing is.
Check = Callable[[], list[str]]


async def serve_health(
    port: int, live: Check, ready: Check, degraded: Check, registry: CollectorRegistry
) -> web.AppRunner:
    """Start the server; it listens when this returns. The caller ends it with cleanup().

    /readyz also tells what `degraded` returns, without failing for it.

    Raises:
        OSError: the port is taken.
    """

    async def metrics(_request: web.Request) -> web.Response:
        return web.Response(body=generate_latest(registry), headers={"Content-Type": CONTENT_TYPE_LATEST})

    app = web.Application()
    app.router.add_get("/healthz", _probe(live))
    app.router.add_get("/readyz", _probe(ready, degraded))
    app.router.add_get("/metrics", metrics)
    runner = web.AppRunner(app, access_log=None)
    await runner.setup()
    await web.TCPSite(runner, None, port).start()
    return runner


def _probe(check: Check, degraded: Check = list) -> Callable[[web.Request], Awaitable[web.StreamResponse]]:
    async def respond(request: web.Request) -> web.StreamResponse:
        problems = check()
        if problems:
            logger.error("%s failed: %s", request.path, "; ".join(problems))
        text = "\n".join(problems or ("ok", *degraded()))
        return web.Response(text=text, status=503 if problems else 200)

    return respond
