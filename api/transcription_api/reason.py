"""What a reason is."""

from dataclasses import dataclass


@dataclass(frozen=True)
class Reason:
    """Why something failed or waits. `advice` says what to do, and is shown beside the message in status.failure."""

    name: str
    permanent: bool
    advice: str
    # What the worker exits with; None where the operator alone gives the reason.
    exit_code: int | None = None
