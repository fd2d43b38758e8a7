"""HTTP for probes and Prometheus: /healthz, /readyz, /metrics."""

import logging
from collections.abc import Awaitable, Callable

from aiohttp import web
from prometheus_client import CollectorRegistry
from prometheus_client.exposition import CONTENT_TYPE_LATEST, generate_latest

logger = logging.getLogger(__name__)

# Says why not; empty: all is well.
Check = Callable[[], list[str]]


async def serve_health(port: int, alive: Check, ready: Check, registry: CollectorRegistry) -> web.AppRunner:
    """Listening once this returns; the caller ends it with cleanup()."""

    async def metrics(_request: web.Request) -> web.Response:
        return web.Response(body=generate_latest(registry), headers={"Content-Type": CONTENT_TYPE_LATEST})

    app = web.Application()
    app.router.add_get("/healthz", _answer(alive))
    app.router.add_get("/readyz", _answer(ready))
    app.router.add_get("/metrics", metrics)
    runner = web.AppRunner(app, access_log=None)
    await runner.setup()
    await web.TCPSite(runner, None, port).start()
    return runner


def _answer(check: Check) -> Callable[[web.Request], Awaitable[web.StreamResponse]]:
    async def answer(request: web.Request) -> web.StreamResponse:
        troubles = check()
        if troubles:
            logger.error("%s: %s", request.path, "; ".join(troubles))
        return web.Response(text="\n".join(troubles) or "ok", status=503 if troubles else 200)

    return answer
