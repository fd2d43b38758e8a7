"""Generate documents from the code."""
