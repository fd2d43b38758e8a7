"""Which windows are computed together, and when."""
