"""How long to wait before a watch is started again: not at all after one that lasted, ever longer if each ends at once."""

import asyncio
import time

# Seconds before the second start of a watch; each further one that ends soon doubles them.
FIRST_SECONDS = 0.1
LAST_SECONDS = 30.0
# Seconds after which the end of a watch is nothing unusual: apiservers and load balancers end each one after a while.
LASTING_SECONDS = 60.0


class RestartDelay:
    """The delay of one watch."""

    def __init__(self) -> None:
        self._ended_soon = 0
        self._started = 0.0
        self._waited = False

    def started(self) -> None:
        """The watch has been started."""
        self._started, self._waited = time.monotonic(), False

    async def wait(self) -> None:
        """Wait after the watch has ended. Further calls before the next start return at once."""
        if self._waited:
            return
        self._waited = True
        if time.monotonic() - self._started >= LASTING_SECONDS:
            self._ended_soon = 0
        seconds = min(FIRST_SECONDS * 2.0 ** min(self._ended_soon, 20), LAST_SECONDS)
        self._ended_soon += 1
        await asyncio.sleep(seconds)
