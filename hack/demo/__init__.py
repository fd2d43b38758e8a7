"""make demo: from a fresh machine to a printed transcript."""
