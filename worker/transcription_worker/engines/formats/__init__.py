"""The result files: one row of `writers.FORMATS` for each format."""
