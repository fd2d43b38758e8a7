"""Parts of the spec that only a resource over many files has."""

from dataclasses import dataclass
from typing import Any

from transcription_api.options import option


@dataclass(frozen=True)
class Shard:
    """How many files one pod takes: a shard is what one index of the Job transcribes."""

    minutes: int = option(
        10,
        implicit=True,
        minimum=1,
        maximum=1440,
        help="How long a pod is to be busy with a shard, in minutes, as far as its speed is known. There are at most 1,000 "
        "shards.",
    )
    speed: float | None = option(
        None,
        minimum=0.01,
        maximum=100_000,
        help="How many seconds of audio a pod transcribes in a second. Without it what an earlier run to the same destination "
        "had, else a guess.",
    )


@dataclass(frozen=True)
class FailurePolicy:
    """How many files may fail in a resource that is Complete."""

    max_failed_files: Any = option(
        0,
        implicit=True,
        help="Of many files, how many may fail: a number, or a percentage as in 5%. Above it the resource is Failed with "
        "PartiallyFailed, and the results that are there stay in any case.",
    )

    def allowed_failures(self, files: int) -> int:
        """Return how many of so many files may fail."""
        limit = self.max_failed_files
        return files * int(limit.removesuffix("%")) // 100 if isinstance(limit, str) else limit
