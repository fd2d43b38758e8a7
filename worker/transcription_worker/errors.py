"""Define the exception that carries a failure from the place where it is noticed to the report."""

from transcription_api.reasons import Reason


class WorkerError(Exception):
    """A failure with a stable reason.

    `message` goes to the status. It names the field, the value and what was expected, and never contains audio,
    transcript text or credentials.
    """

    def __init__(self, reason: Reason, message: str) -> None:
        super().__init__(f"{reason.name}: {message}")
        self.reason = reason
        self.message = message


def without_frames(error: WorkerError) -> WorkerError:
    """Return the error with its words alone, to be kept.

    Its traceback and its cause hold the frames where it was raised, and with them their audio and tensors. Whatever is
    to be said of those was logged before.
    """
    error.__traceback__ = error.__cause__ = error.__context__ = None
    return error
