"""Tell refusals of the apiserver, which concern one object and can last for hours, from errors that a retry soon mends.

Quotas, admission policies and webhooks, missing rights and invalid objects are refusals. A webhook that denies a request
chooses the HTTP status; one that cannot be called gives a 500.
"""

import time
from collections.abc import Callable

from transcription_api import reasons
from transcription_api.reasons import Reason

from transcription_operator.cluster import ApiError
from transcription_operator.reconcile.observed_state import JobRejection

# Statuses that say nothing about the object: credentials that are being replaced, time-outs, conflicts, too many requests.
TRANSIENT = (401, 408, 409, 429)
# Seconds until an update that was refused is sent again.
RETRY_SECONDS = 30.0
# How the apiserver begins the words of its own validation. A webhook's words begin with the webhook's name.
OWN_VALIDATION = 'Job.batch "'


def explain_refusal(error: ApiError, reason: Reason) -> JobRejection | None:
    """The refusal with this reason, or None if the request is to be sent again soon."""
    if error.namespace_ending:
        return JobRejection(reasons.NAMESPACE_TERMINATING, error.message)
    # A page of a proxy is no Status object and has no reason.
    refused = bool(error.reason) and 400 <= error.status <= 499 and error.status not in TRANSIENT
    if not refused and not error.denied and "failed calling webhook" not in error.message:
        return None
    return JobRejection(reason, error.message, _invalid_fields(error))


def _invalid_fields(error: ApiError) -> tuple[tuple[str, str], ...]:
    """The Job's fields that the apiserver's own validation finds invalid, each with its words."""
    if error.status != 422 or not error.message.startswith(OWN_VALIDATION):
        return ()
    return tuple((cause.field, cause.message) for cause in error.causes if cause.field)


class RefusedUpdates:
    """The updates of Jobs that the apiserver refused lately, by the Job's uid and the field that was to change.

    The resource of a running worker is reconciled every few seconds, and must not send a refused update each time.
    """

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._refused: dict[str, tuple[float, JobRejection]] = {}

    def recent(self, update: str) -> JobRejection | None:
        """The refusal of less than RETRY_SECONDS ago, or None if the update is to be sent."""
        at, refusal = self._refused.get(update, (0.0, None))
        return refusal if refusal is not None and self._clock() - at < RETRY_SECONDS else None

    def add(self, update: str, refusal: JobRejection) -> None:
        """Remember a refusal, and forget those that are over."""
        now = self._clock()
        self._refused = {one: item for one, item in self._refused.items() if now - item[0] < RETRY_SECONDS}
        self._refused[update] = now, refusal
