"""Keep the status of many files small, whatever their number and whatever others say: it is written a hundred times.

Each message and each text of a worker has a limit of its own, and all of them together may be longer than this one. Then the
status goes without what the account in the destination has too, and its messages are cut.
"""

import dataclasses
import json
from collections.abc import Iterator

from transcription_api.codec import to_json
from transcription_api.status import Condition, Failure, Status

# Bytes of the status as JSON.
SIZE_LIMIT = 8 * 1024
# Bytes that a message keeps at the least.
SHORT_BYTES = 160


def within_size(status: Status) -> Status:
    """The status, or the most of it that fits into SIZE_LIMIT. That of a single file stays as it is."""
    if status.files is None:
        return status
    return next((shorter for shorter in _shorter(status) if _size(shorter) <= SIZE_LIMIT), _outcome(status))


def _shorter(status: Status) -> Iterator[Status]:
    """Yield the status with less and less of what can be read elsewhere."""
    yield status
    status = dataclasses.replace(status, conditions=tuple(_cut(item) for item in status.conditions))
    yield status
    status = dataclasses.replace(status, failure=status.failure and _cut_failure(status.failure))
    yield status
    yield (status := _without_names(status))
    yield dataclasses.replace(status, device=None, model=None, engine=None, preview=None)


def _without_names(status: Status) -> Status:
    files = status.files and dataclasses.replace(status.files, failures=(), by_reason=status.files.by_reason[:4])
    plan = status.plan and dataclasses.replace(status.plan, skipped_by=status.plan.skipped_by[:4])
    return dataclasses.replace(status, files=files, plan=plan)


def _outcome(status: Status) -> Status:
    """What became of the resource, and the numbers, without a text that others have written."""
    status = _without_names(status)
    files = status.files and dataclasses.replace(status.files, by_reason=())
    plan = status.plan and dataclasses.replace(status.plan, skipped_by=())
    conditions = tuple(dataclasses.replace(_cut(item), message="") for item in status.conditions)
    kept = ("job_ref", "attempt", "files_done", "report_key", "queued_time", "start_time", "completion_time")
    return Status(
        observed_generation=status.observed_generation,
        phase=status.phase,
        conditions=conditions,
        files=files,
        plan=plan,
        failure=status.failure and dataclasses.replace(_cut_failure(status.failure), message=""),
        **{name: getattr(status, name) for name in kept},
    )


def _cut(condition: Condition) -> Condition:
    return dataclasses.replace(condition, message=_cut_text(condition.message))


def _cut_failure(failure: Failure) -> Failure:
    return dataclasses.replace(failure, message=_cut_text(failure.message), advice=_cut_text(failure.advice))


def _cut_text(text: str) -> str:
    """Cut a text to SHORT_BYTES in JSON, with an ellipsis as the last character. One that was cut stays as it is."""
    if _bytes(text) <= SHORT_BYTES:
        return text
    kept = text[:SHORT_BYTES]
    while _bytes(kept) > SHORT_BYTES - len("…".encode()):
        kept = kept[:-1]
    return f"{kept}…"


def _bytes(text: str) -> int:
    return len(json.dumps(text, ensure_ascii=False, allow_nan=False).encode(errors="replace")) - 2


def _size(status: Status) -> int:
    return len(
        json.dumps(to_json(status), separators=(",", ":"), ensure_ascii=False, allow_nan=False).encode(errors="replace")
    )
