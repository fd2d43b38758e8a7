"""When the front end held a GPU up, and what to say of it."""

# A GPU that waits for more than this share of its time has too few CPUs beside it. In a run that is shorter than
# WARNED_SECONDS the first files alone may have been that long in coming.
WARNED_SHARE = 0.2
WARNED_SECONDS = 60.0


def share_of(waited: float, seconds: float) -> float | None:
    """Return the share of the time that was waited, from 0 to 1; None where there was no time."""
    return round(min(1.0, waited / seconds), 3) if seconds > 0 else None


def audio_wait_warning(waited: float, seconds: float, remedy: str) -> str | None:
    """Return a sentence for people if the wait is worth one. `remedy` says what gives the front end more CPU."""
    share = share_of(waited, seconds)
    if share is None or share <= WARNED_SHARE or seconds < WARNED_SECONDS:
        return None
    return f"the GPU waited for audio for {share:.0%} of its time, since decoding was too slow: {remedy}"
