"""Decide what to do for one resource. Pure: no I/O, no clock, no environment; import-linter checks it."""
