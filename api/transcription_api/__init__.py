"""What operator and worker agree on: spec, status, reasons, exit codes and the worker's report. Standard library only."""
