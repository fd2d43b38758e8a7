"""Many files through the worker: S3 to S3, beside the same files without S3, one pod a file, and ffmpeg alone."""
