"""What may happen to a write of the operator, and to a watch event on its way to the operator."""

import json
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Protocol

from tests.faults.clock import SharedClock
from tests.faults.proxy import Answer, NoFault, Request, Stream

Send = Callable[[], Answer]

# Seconds of the operator's time for which a request is held: longer than the operator waits for a response.
HELD_SECONDS = 12.0
# How fast the operator's time passes meanwhile.
HELD_RATE = 20.0


class Killable(Protocol):
    def kill(self) -> None: ...


@dataclass
class Target:
    """The operator as the actions see it."""

    operator: Killable
    clock: SharedClock
    thawed: threading.Event = field(default_factory=threading.Event)
    held: bool = False  # the actions set the clock's rate
    hit: bool = False  # the moment of the fault has come

    def hold(self) -> None:
        """Let time pass until the operator has given up the request that it awaits, for at most HELD_SECONDS real ones."""
        began = time.monotonic()
        until = began + self.clock.ahead + HELD_SECONDS
        self.held, self.clock.rate = True, -HELD_RATE  # even while a response is awaited, see `OperatorTime`
        while time.monotonic() + self.clock.ahead < until and time.monotonic() < began + HELD_SECONDS:
            time.sleep(0.02)
        self.held, self.clock.rate = False, 1.0


def kill_before(target: Target, send: Send) -> Answer | None:
    """Kill the operator before its write is passed on."""
    target.operator.kill()
    return None


def kill_after(target: Target, send: Send) -> Answer | None:
    """Kill the operator after its write was committed."""
    send()
    target.operator.kill()
    return None


def lose_answer(target: Target, send: Send) -> Answer | None:
    """Close the connection after the write was committed."""
    send()
    return None


def lose_request(target: Target, send: Send) -> Answer | None:
    """Close the connection before the write is passed on."""
    return None


def hang(target: Target, send: Send) -> Answer | None:
    """Commit the write and answer too late."""
    answer = send()
    target.hold()
    return answer


def delay(target: Target, send: Send) -> Answer | None:
    """Pass the write on after the operator has given it up."""
    target.hold()
    return send()


def double(target: Target, send: Send) -> Answer | None:
    """Send the write twice, and answer what the second one got."""
    send()
    return send()


def _refuse(status: int, reason: str, **headers: str) -> Callable[[Target, Send], Answer]:
    def refuse(target: Target, send: Send) -> Answer:
        body = {
            "apiVersion": "v1",
            "kind": "Status",
            "status": "Failure",
            "reason": reason,
            "message": f"injected: {reason}",
            "code": status,
        }
        return Answer(status, json.dumps(body).encode(), {"Content-Type": "application/json"} | headers)

    return refuse


WriteAction = Callable[[Target, Send], Answer | None]
WRITE_ACTIONS: dict[str, WriteAction] = {
    "kill-before": kill_before,
    "kill-after": kill_after,
    "lose-request": lose_request,
    "lose-answer": lose_answer,
    "hang": hang,
    "delay": delay,
    "double": double,
    "409": _refuse(409, "Conflict"),
    "429": _refuse(429, "TooManyRequests", **{"Retry-After": "1"}),
    "500": _refuse(500, "InternalError"),
    "504": _refuse(504, "Timeout"),
}


def gone(target: Target, line: bytes, stream: Stream) -> bool:
    """Say that the watch's resourceVersion is too old."""
    status = {"kind": "Status", "apiVersion": "v1", "status": "Failure", "reason": "Expired", "code": 410}
    event = {"type": "ERROR", "object": status | {"message": "too old resource version"}}
    stream.deliver(json.dumps(event).encode() + b"\n")
    return False


def cut(target: Target, line: bytes, stream: Stream) -> bool:
    """Close the connection before the event."""
    return False


def drop(target: Target, line: bytes, stream: Stream) -> bool:
    """Leave the event out."""
    return True


def freeze(target: Target, line: bytes, stream: Stream) -> bool:
    """Deliver nothing more until the life has ended."""
    target.thawed.wait()
    return False


def replay(target: Target, line: bytes, stream: Stream) -> bool:
    """Deliver the event, then all earlier ones of this watch once more."""
    stream.deliver(line)
    for earlier in [*stream.delivered]:
        stream.deliver(earlier)
    return True


def kill_watching(target: Target, line: bytes, stream: Stream) -> bool:
    """Kill the operator before it sees the event."""
    target.operator.kill()
    return False


WatchAction = Callable[[Target, bytes, Stream], bool]
WATCH_ACTIONS: dict[str, WatchAction] = {
    "gone": gone,
    "cut": cut,
    "drop": drop,
    "freeze": freeze,
    "replay": replay,
    "kill": kill_watching,
}


class WriteFault(NoFault):
    """Does something to the n-th write of a kind."""

    def __init__(self, kind: str, number: int, action: WriteAction, target: Target) -> None:
        self._place = (kind, number)
        self._action = action
        self._target = target

    def write(self, kind: str, number: int, request: Request, send: Send) -> Answer | None:
        if (kind, number) != self._place:
            return send()
        self._target.hit = True
        return self._action(self._target, send)


class WatchFault(NoFault):
    """Does something at the n-th watch event."""

    def __init__(self, number: int, action: WatchAction, target: Target) -> None:
        self._number = number
        self._action = action
        self._target = target

    def watch(self, number: int, line: bytes, stream: Stream) -> bool:
        if number != self._number:
            return super().watch(number, line, stream)
        self._target.hit = True
        return self._action(self._target, line, stream)
