"""Many files in one resource: the phases plan, transcribe and collect, which meet in S3 alone."""
