"""What the project promises of a GPU, by what torch calls it and by what is computed, in windows of 30 s a second."""

# By a word of the device's name.
GOALS = {
    "H200": {"large-v3": 65.0, "turbo": 134.0, "mlperf": 78.0},
    "H100": {"large-v3": 50.0, "turbo": 123.0},
}


def goal(device: str, computed: str) -> float | None:
    """Return the least windows a second on a device of this name; None where nothing is promised."""
    return next((goals.get(computed) for word, goals in GOALS.items() if word in device), None)
