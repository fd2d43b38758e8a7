"""What became of each file: a row of JSON Lines, which a pod writes for its shard and the account is made of."""

import dataclasses
from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass

from transcription_api.report import (
    MAX_NAMED_FAILURES,
    MAX_NAMED_REASONS,
    FileCounts,
    FileFailure,
    ReasonCount,
    Report,
    WrittenObject,
)

from transcription_worker.batch.entries import Entry, Overrides
from transcription_worker.errors import WorkerError

DONE, REUSED, FAILED = "done", "reused", "failed"
MESSAGE_LIMIT = 1024


@dataclass(frozen=True)
class Row:
    """The outcome of one file, one of DONE, REUSED and FAILED. `number` is the entry's.

    `overrides` are in a row of the plan alone, of a file that is in no shard.
    """

    number: int
    key: str
    outcome: str
    bucket: str | None = None
    reference: str | None = None
    reason: str | None = None
    message: str | None = None
    audio_seconds: float | None = None
    wall_seconds: float | None = None
    language: str | None = None
    words: int | None = None
    verdict: str | None = None
    channels: int | None = None
    objects: tuple[WrittenObject, ...] = ()
    overrides: Overrides | None = None

    @property
    def failed(self) -> bool:
        """Whether there is no result, or one that the quality policy refuses."""
        return self.outcome == FAILED


def written_row(entry: Entry, report: Report) -> Row:
    """Return the row of a file with results. It failed all the same where the report has a reason."""
    outcome = FAILED if report.reason is not None else REUSED if report.reused else DONE
    return Row(
        entry.number,
        entry.key,
        outcome,
        entry.bucket,
        entry.reference,
        reason=report.reason,
        message=report.message,
        audio_seconds=report.audio_seconds,
        wall_seconds=report.wall_seconds,
        language=report.language,
        words=report.words,
        verdict=report.quality.verdict if report.quality is not None else None,
        channels=report.channels,
        objects=report.objects,
    )


def failed_row(entry: Entry, error: WorkerError) -> Row:
    """Return the row of a file without results."""
    return Row(
        entry.number,
        entry.key,
        FAILED,
        entry.bucket,
        entry.reference,
        reason=error.reason.name,
        message=error.message[:MESSAGE_LIMIT],
    )


def refused_row(entry: Entry, error: WorkerError) -> Row:
    """Return the row of a file that the plan leaves out, with the fields that it would have had in a shard."""
    return dataclasses.replace(failed_row(entry, error), overrides=entry.overrides)


def count_rows(rows: Iterable[Row], skipped: int = 0) -> FileCounts:
    """Add rows up. The reasons that most files have come first."""
    outcomes: Counter[str] = Counter()
    found: Counter[str] = Counter()
    failures: list[FileFailure] = []
    for row in rows:
        outcomes[row.outcome] += 1
        if row.failed:
            found[row.reason or ""] += 1
            if len(failures) < MAX_NAMED_FAILURES:
                failures.append(FileFailure(row.key, row.reason or "WorkerFailed"))
    return FileCounts(
        total=outcomes.total(),
        done=outcomes[DONE],
        reused=outcomes[REUSED],
        failed=outcomes[FAILED],
        skipped=skipped,
        by_reason=count_reasons(found),
        failures=tuple(failures),
    )


def count_reasons(found: "Counter[str]") -> tuple[ReasonCount, ...]:
    """Return the reasons that are named, the most frequent first."""
    return tuple(ReasonCount(name, count) for name, count in found.most_common(MAX_NAMED_REASONS))
