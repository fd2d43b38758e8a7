"""The one exception that carries a failure from the place it is known to the report."""

from transcription_api.reasons import Reason


class WorkerError(Exception):
    """A failure with a stable reason. `message` goes to the status: it names the field, the value and what was expected.

    Never put audio, transcript text or credentials into it.
    """

    def __init__(self, reason: Reason, message: str) -> None:
        super().__init__(f"{reason.name}: {message}")
        self.reason = reason
        self.message = message
