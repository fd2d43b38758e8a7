"""How soon a resource is looked at again although no watch has shown a change: soon at first, then less and less often."""

# Seconds.
MIN_REQUEUE_SECONDS = 3.0
MAX_REQUEUE_SECONDS = 60.0
# Between two questions to a queue why it has not admitted a Job.
MIN_QUEUE_REQUEUE_SECONDS = 15.0
MAX_QUEUE_REQUEUE_SECONDS = 300.0
# Until a plan is made that rests on the status that was just stored: no watch event is news after our own write.
STORED_REQUEUE_SECONDS = 0.1


def growing_delay(waited: float) -> float:
    """The seconds until the next look at something that has been the same for `waited` seconds."""
    return min(max(waited / 4, MIN_REQUEUE_SECONDS), MAX_REQUEUE_SECONDS)


def queue_delay(waited: float) -> float:
    """The seconds until a queue is asked again of a Job that has waited in it for `waited` seconds.

    Thousands may wait for hours: each costs half a dozen questions in its first five minutes. Its admission is seen at once.
    """
    return min(max(waited, MIN_QUEUE_REQUEUE_SECONDS), MAX_QUEUE_REQUEUE_SECONDS)
