"""What the operator shows of itself: metrics, probes and log lines. docs/observability.md describes them."""
