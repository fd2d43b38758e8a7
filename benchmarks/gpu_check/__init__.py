"""One command that proves and measures the batched engine on a GPU that is there for minutes: `make gpu-check`."""
