"""What decides. Pure: no I/O, no clock, no environment (held by the linter)."""
