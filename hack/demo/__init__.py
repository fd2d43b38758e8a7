"""Implement `make demo`, which goes from a fresh machine to a printed transcript."""
