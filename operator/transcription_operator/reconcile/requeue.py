"""How soon a resource is looked at again although no watch has shown a change: soon at first, then less and less often."""

# Seconds.
MIN_REQUEUE_SECONDS = 3.0
MAX_REQUEUE_SECONDS = 60.0
# Until a plan is made that rests on the status that was just stored: no watch event is news after our own write.
STORED_REQUEUE_SECONDS = 0.1


def growing_delay(waited: float) -> float:
    """The seconds until the next look at something that has been the same for `waited` seconds."""
    return min(max(waited / 4, MIN_REQUEUE_SECONDS), MAX_REQUEUE_SECONDS)
